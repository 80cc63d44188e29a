#include "commands.hpp"

int main(int argc, char** argv) {
    return s3_program::program(argc, argv);
}
