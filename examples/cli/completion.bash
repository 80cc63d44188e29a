# Completion of s3shift for bash: commands and options are those that --help names, and what the
# option before takes; file names otherwise.
_s3shift() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=
    case $before in
    --kernels) words="automatic shift_add dot" ;;
    --bits) words="8 6 4" ;;
    --network) words="resnet8 resnet18 resnet20 resnet50 resnet56 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large" ;;
    --format) words="auto shift2 shift3 shift4 shift5 dense2 dense3 dense4 dense5 int8" ;;
    esac
    if [ -z "$words" ]; then
        if [ "$COMP_CWORD" -eq 1 ]; then
            words=$("$1" --help | sed -n '/^Subcommands:/,$s/^  \([a-z]\+\) .*/\1/p')
        elif [[ $word == -* ]]; then
            words=$("$1" "${COMP_WORDS[1]}" --help 2>/dev/null | grep -oE -e '--[a-z-]+' | sort -u)
        fi
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    if [ ${#COMPREPLY[@]} -eq 0 ] || [ "$before" = --network ]; then
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _s3shift s3shift
