// Networks whose layers have any of the formats.

#include "../support/archs.hpp"
#include "../support/network.hpp"

using namespace s3;

TEST_CASE("networks of all formats are exact") {
    test::network_suite<all_formats, test::type_list<arch::native>>(2).run(200);
}
