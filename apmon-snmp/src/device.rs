//! A look at a device that is no monitor's: for who wants to see it once.

use apmon_core::{Device, Failure, Look, Tools};

use crate::{asker::Asker, poll::Acquaintance, reading::Extent, target::Target};

/// What a device says of itself: its ports, who is on them, its disks. Its
/// name is looked up by [`Tools::names`].
///
/// # Errors
/// When it could not be asked, or did not tell all of its interfaces.
pub async fn device(target: Target, tools: &Tools, look: &Look) -> Result<Device, Failure> {
    let asker = Asker::new(target, tools);
    let polled = Acquaintance::default().poll(&asker, look, Extent::Device).await?;
    Ok(polled.device)
}
