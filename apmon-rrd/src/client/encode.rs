//! How requests are written.

use std::{io::Write as _, os::unix::ffi::OsStrExt as _, path::Path};

use crate::{
    operation::{Point, Update, Value},
    wire::{Encoder, HasNul, Operation},
};

/// Figures beyond this are written as unknown: librrd multiplies them by seconds, and what
/// becomes infinite then makes every average infinite that it is part of.
const LARGEST: f64 = 1e300;

/// Begins a request.
pub(super) fn request(operation: Operation, path: &Path) -> Result<Encoder, HasNul> {
    let mut request = Encoder::default();
    request.operation(operation);
    request.text(path.as_os_str().as_bytes())?;
    Ok(request)
}

/// Writes an update as librrd reads it. Points that it would not understand are refused here:
/// librrd may have taken half of their values before it notices.
pub(super) fn encode_update(
    path: &Path,
    update: &Update,
    refused: &mut Vec<(i64, String)>,
) -> Result<Encoder, String> {
    let nul = |HasNul| "a text contains NUL".to_owned();
    let mut request = request(Operation::Update, path).map_err(nul)?;
    if let Some(name) = update.names.iter().find(|name| name.contains(':')) {
        return Err(format!("there is no data source {name}"));
    }
    request.text(update.names.join(":").as_bytes()).map_err(nul)?;
    let wanted = update.names.len();
    let fits = |point: &Point| {
        if point.at <= 0 {
            return Err("the moment is not after 1970".to_owned());
        }
        match point.values.len() {
            values if values == wanted && wanted > 0 => Ok(()),
            values => Err(format!(
                "the number of values is {values}, that of data sources {wanted}"
            )),
        }
    };
    let mut points = Vec::new();
    for point in &update.points {
        match fits(point) {
            Ok(()) => points.push(point),
            Err(reason) => refused.push((point.at, reason)),
        }
    }
    request.count(points.len());
    for point in points {
        request.signed(point.at);
        request.parts(|text| {
            // Always a number: `N` and relative times are parsed with static variables.
            // Writing into memory does not fail.
            let _ = write!(text, "{}", point.at);
            for value in &point.values {
                let _ = match value {
                    Value::Count(count) => write!(text, ":{count}"),
                    Value::Figure(figure) if figure.abs() <= LARGEST => match figure.abs() {
                        // Rust writes all digits of these, up to 300.
                        size if size != 0.0 && !(1e-7..1e17).contains(&size) => write!(text, ":{figure:e}"),
                        _ => write!(text, ":{figure}"),
                    },
                    Value::Figure(_) | Value::Unknown => write!(text, ":U"),
                };
            }
        });
    }
    Ok(request)
}
