//! The worker of the tests.

fn main() -> std::io::Result<()> {
    apmon_rrd::serve()
}
