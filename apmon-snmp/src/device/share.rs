//! A part of a whole, in percent.

/// Returns how much of `total` is in use, percent; `None` if there is nothing,
/// or more in use than there is.
#[allow(clippy::cast_precision_loss)] // of percent
pub(crate) fn share(used: u64, total: u64) -> Option<f64> {
    (total > 0 && used <= total).then(|| used as f64 * 100.0 / total as f64)
}
