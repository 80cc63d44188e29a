# Defines s3::io where nlohmann-json is found: s3::s3 with what the headers of s3/io/, s3/import/ and
# s3/export/ need beside it. Serves this build and, installed beside s3Config.cmake, its users.

if(TARGET s3::nlohmann_json AND NOT TARGET s3::io)
    add_library(s3::io INTERFACE IMPORTED GLOBAL)
    target_link_libraries(s3::io INTERFACE s3::s3 s3::nlohmann_json)
endif()
