# Makes one object of many, without weak symbols: run by s3_add_dispatch as
# cmake -DOBJECTS=a.o|b.o -DOUTPUT=c.o -DCXX=… -DNM=… -DOBJCOPY=… -P s3Localize.cmake

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output
                    ERROR_VARIABLE output)
    if(NOT status EQUAL 0)
        file(REMOVE ${OUTPUT})
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}\n${output}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

string(REPLACE "|" ";" OBJECTS "${OBJECTS}")
if(CXX_TARGET)
    set(CXX ${CXX} --target=${CXX_TARGET})
endif()
# A function in a group would be dropped for the group of the same name in another object.
run(${CXX} -r -nostdlib -Wl,--force-group-allocation ${OBJECTS} -o ${OUTPUT})
run(${NM} --defined-only --format=posix ${OUTPUT})
string(REGEX MATCHALL "[^\n]+ [WVuw]( [^\n]*)?\n" weak "${output}")
list(TRANSFORM weak REPLACE " .*" "")
list(JOIN weak "\n" weak)
file(WRITE ${OUTPUT}.weak "${weak}\n")
run(${OBJCOPY} --localize-symbols=${OUTPUT}.weak ${OUTPUT})
file(REMOVE ${OUTPUT}.weak)
