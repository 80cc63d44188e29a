// The umbrella alone: nothing is instantiated.
#include <s3/shift.hpp>
