// What every user of the header-only library pays for: the compile time of this unit is the base
// that the others are measured from.
#include <xsimd/xsimd.hpp>
