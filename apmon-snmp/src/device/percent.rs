//! Percentages of a whole.

/// The part of `total` that is in use, in percent; `None` if `total` is 0 or less
/// than `used`.
#[allow(clippy::cast_precision_loss)] // a percentage
pub(crate) fn used_pct(used: u64, total: u64) -> Option<f64> {
    (total > 0 && used <= total).then(|| used as f64 * 100.0 / total as f64)
}
