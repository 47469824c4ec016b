//! The pictures on MRTG's pages where no other program draws them.

use apmon_rrd::{
    Archive, ChartOptions, RrdError,
    mrtg::{Period, SiteView, Target, Written, picture_file, targets},
};

use super::drawing::{self, Subject};

/// The size of a picture, in pixels.
const SIZE: (u32, u32) = (560, 210);

/// Draws the pictures that are older than one of their pixels: younger ones would be the same.
/// Returns what went wrong.
pub(super) fn draw_stale(
    site: &SiteView<'_>,
    archive: &Archive,
    written: &Written,
    suffix: &'static str,
) -> Vec<String> {
    let mut problems = Vec::new();
    for target in targets(site) {
        for period in Period::ALL {
            let file = picture_file(&target.name, period, suffix);
            if !period.is_stale(written.drawn(&file), SIZE.0, site.generated) {
                continue;
            }
            let drawn = picture(site, &target, period, archive);
            let drawn = drawn.map_err(|error| error.to_string());
            let replaced = drawn.and_then(|drawn| match drawn {
                Some(svg) => written
                    .draw(&file, svg.as_bytes())
                    .map_err(|error| error.to_string()),
                None => Ok(()),
            });
            problems.extend(replaced.err());
        }
    }
    problems
}

/// A picture; `None` if nothing has been recorded.
fn picture(
    site: &SiteView<'_>,
    target: &Target<'_>,
    period: Period,
    archive: &Archive,
) -> Result<Option<String>, RrdError> {
    let now = site.generated.as_second();
    let range = now - period.secs()..now;
    let subject = Subject::Pair(target.pair);
    let chart = match drawing::chart(archive, target.monitor.name, &subject, range.clone(), SIZE.0, now) {
        Ok(chart) => chart,
        Err(RrdError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let options = ChartOptions {
        title: String::new(),
        percentile: target.monitor.percentile.map(f64::from),
        zone: site.zone.clone(),
        ..ChartOptions::new(SIZE.0, SIZE.1, range)
    };
    Ok(Some(chart.svg(&options)))
}
