//! The option `ignore_unplaced`.

/// The hint if the option is on.
pub(super) const UNPLACED_HINT: &str =
    "is on: stations that the device does not place on a port are ignored, and may be on any port";
