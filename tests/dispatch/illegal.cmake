# Fails unless a program, run for a set on an emulated processor that lacks it, ends by an illegal
# instruction: cmake -DRUN=qemu-x86_64-static -DCPU=Nehalem -DPROGRAM=… -DSET=avx2 -P illegal.cmake

execute_process(COMMAND ${RUN} -cpu ${CPU} ${PROGRAM} ${SET} OUTPUT_VARIABLE output ERROR_VARIABLE said
                RESULT_VARIABLE result)
if(NOT "${result} ${said}" MATCHES "[Ii]llegal")
    message(FATAL_ERROR "${SET} on ${CPU} ended with ${result}: ${output}${said}")
endif()
