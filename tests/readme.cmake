# The README's C++ is quickstart.cpp's, line for line, so that it compiles and runs as that does;
# and the scripts that it names exist. Run as cmake -DROOT=<source tree> -P readme.cmake

file(READ ${ROOT}/README.md readme)
file(READ ${ROOT}/examples/quickstart.cpp quickstart)
# A character that the text does not contain stands for what would split a CMake list.
string(ASCII 31 semicolon)
string(REPLACE ";" "${semicolon}" readme "${readme}")
string(REPLACE ";" "${semicolon}" quickstart "${quickstart}")
string(REPLACE "\n    " "\n" quickstart "${quickstart}")

string(REGEX MATCHALL "```cpp\n[^`]*```" blocks "${readme}")
list(LENGTH blocks count)
if(count LESS 2)
    message(FATAL_ERROR "README.md shows ${count} blocks of C++, not inference and training")
endif()
foreach(block IN LISTS blocks)
    string(REGEX REPLACE "^```cpp\n|```$" "" block "${block}")
    string(FIND "${quickstart}" "${block}" position)
    if(position EQUAL -1)
        string(REPLACE "${semicolon}" ";" block "${block}")
        message(FATAL_ERROR "README.md shows what quickstart.cpp does not contain:\n${block}")
    endif()
endforeach()

string(REGEX MATCHALL "\\./[a-z_/]+\\.sh" scripts "${readme}")
foreach(script IN LISTS scripts)
    if(NOT EXISTS ${ROOT}/${script})
        message(FATAL_ERROR "README.md names ${script}, which does not exist")
    endif()
endforeach()
