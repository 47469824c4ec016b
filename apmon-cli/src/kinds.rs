//! Every kind apmon knows: the tables of the libraries, one after another.

use std::sync::LazyLock;

use apmon_core::MonitorKind;

static KINDS: LazyLock<Vec<&'static dyn MonitorKind>> =
    LazyLock::new(|| [apmon_probes::KINDS, apmon_snmp::KINDS].concat());

/// All kinds, in the order of the reference.
pub(crate) fn all() -> &'static [&'static dyn MonitorKind] {
    &KINDS
}

/// The kind that an address alone names: by its scheme, a bare host by `""`.
pub(crate) fn by_address(address: &str) -> Option<&'static dyn MonitorKind> {
    let scheme = address
        .split_once("://")
        .map_or("", |(scheme, _)| scheme)
        .to_ascii_lowercase();
    all()
        .iter()
        .copied()
        .find(|kind| kind.schemes().contains(&scheme.as_str()))
}
