// main() of every benchmark: one thread for every library, and oneDNN held to what this build may
// use, so that both sides have the same instructions.

#include "peers.hpp"
#include "report.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif

int main(int argc, char** argv) {
    using namespace s3;
#if defined(_OPENMP)
    omp_set_num_threads(1);
#endif
#if defined(S3_HAS_ONEDNN)
    if constexpr (std::is_same_v<arch::native, arch::avx2>)
        dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
#endif
    permit_tiles(); // where this build has a matrix unit, as oneDNN takes it unasked
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::AddCustomContext("compiler", bench::compiler());
    benchmark::AddCustomContext("isa", arch::native::name);
    benchmark::AddCustomContext(bench::integer_peak().name,
                                std::to_string(bench::probe::of_bytes().peak_rate() * 1e-9) +
                                    " GMAC/s");
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
