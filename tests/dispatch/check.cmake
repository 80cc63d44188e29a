# Fails if two objects define the same weak symbol for others to see:
# cmake -DNM=… -DOBJECTS=a.o;b.o -P check.cmake

set(all "")
foreach(object IN LISTS OBJECTS)
    execute_process(COMMAND ${NM} --defined-only --extern-only --format=posix ${object}
                    OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
    if(NOT output MATCHES "make_layer[^\n]* T")
        message(FATAL_ERROR "${object} does not define what it should")
    endif()
    string(REGEX MATCHALL "[^\n]+ [WVu]" weak "${output}")
    list(APPEND all ${weak})
endforeach()
set(unique "${all}")
list(REMOVE_DUPLICATES unique)
list(LENGTH all count)
list(LENGTH unique unique_count)
math(EXPR shared "${count} - ${unique_count}")
list(LENGTH OBJECTS objects)
message("${objects} objects, ${shared} weak symbols shared")
if(shared GREATER 0)
    message(FATAL_ERROR "a linker would keep one of several that were compiled for different machines")
endif()
