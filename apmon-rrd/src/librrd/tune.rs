//! Changes files and keeps what is in them.

use std::ffi::{CStr, CString};

use super::{
    create::{argument, as_kept, check_name, source_argument},
    fault::{Fault, as_path, patiently},
    ffi::Library,
    place, read,
};
use crate::{
    operation::Tune,
    schema::{DataSource, Schema},
    wire::{Decoder, Malformed},
};

/// The variable with which librrd's tune asks a daemon instead of changing the file.
const DAEMON: &str = "RRDCACHED_ADDRESS";

pub(super) fn decode(request: &mut Decoder<'_>) -> Result<Tune, Malformed> {
    Ok(Tune {
        add: request.list(Decoder::source)?,
        rows: request.list(|it| Ok((it.index()?, it.signed()?)))?,
        heartbeat: request.list(|it| Ok((it.string()?, it.number()?)))?,
    })
}

/// Changes a file, and checks that it is changed.
///
/// tune reports success when the disk is full and it has done nothing, and when there is no such
/// archive; for sources that it does not understand, too, but with the text of an error.
pub(super) fn tune(library: &mut Library, path: &CStr, tune: &Tune) -> Result<(), Fault> {
    if std::env::var_os(DAEMON).is_some() {
        return Err(Fault::Refused(format!(
            "{DAEMON} is set, and librrd would ask that daemon to change the file; unset it"
        )));
    }
    let before = read::info(library, path)?;
    let expected = changed(&before.schema, tune)?;
    let place = as_path(path);
    let metadata = place
        .metadata()
        .map_err(|error| Fault::Refused(error.to_string()))?;
    if !tune.heartbeat.is_empty() {
        // In place. By itself, because librrd makes its copy before or after that.
        let options = tune.heartbeat.iter().map(|(name, heartbeat)| {
            let value = argument(format!("{name}:{heartbeat}"))?;
            Ok([c"--heartbeat".to_owned(), value])
        });
        let options: Vec<_> = options.collect::<Result<_, _>>()?;
        run(library, path, options.into_iter().flatten())?;
    }
    if !tune.add.is_empty() || !tune.rows.is_empty() {
        // The copy is made beside the file, and takes its name at the end. If the process is
        // killed meanwhile, it stays there as `NAME.rrdXXXXXX`, and the file as it was.
        let size = before.size.max(expected.size());
        place::check_space(&place, size.saturating_add(size / 10))?;
        let sources = tune.add.iter().map(source_argument);
        let rounds = tune
            .rows
            .iter()
            .map(|(round, rows)| argument(format!("RRA#{round}:{rows:+}")));
        let changes: Vec<_> = sources.chain(rounds).collect::<Result<_, _>>()?;
        run(library, path, changes)?;
        place::settle_changed(&place, &metadata).map_err(|error| Fault::Refused(error.to_string()))?;
    }
    let after = read::info(library, path)?;
    if after.schema == expected {
        return Ok(());
    }
    Err(Fault::Refused(
        "librrd reports that it has changed the file, but it is not as it was to be".to_owned(),
    ))
}

fn run(library: &mut Library, path: &CStr, changes: impl IntoIterator<Item = CString>) -> Result<(), Fault> {
    // A path that begins with - would be an option.
    let path_argument = match path.to_bytes() {
        [b'/', ..] => path.to_owned(),
        relative => {
            let bytes = [b"./", relative].concat();
            CString::new(bytes).map_err(|error| Fault::Refused(error.to_string()))?
        }
    };
    let mut arguments = vec![c"tune".to_owned(), path_argument];
    arguments.extend(changes);
    patiently(|| library.tune(&arguments)).map_err(|reason| Fault::of(reason, path))
}

/// The schema as it is to be.
fn changed(before: &Schema, tune: &Tune) -> Result<Schema, Fault> {
    let refused = |text: String| Err(Fault::Refused(text));
    let mut schema = before.clone();
    for (name, heartbeat) in &tune.heartbeat {
        check_name(name)?;
        let Some(source) = find(&mut schema.sources, name) else {
            return refused(format!("it has no data source {name}"));
        };
        source.heartbeat = *heartbeat;
    }
    for (round, rows) in &tune.rows {
        let Some(found) = schema.rounds.get_mut(*round) else {
            return refused(format!("it has no archive {round}"));
        };
        match found.rows.checked_add_signed(*rows) {
            None | Some(0) => {
                return refused(format!(
                    "archive {round} has {} rows; {rows:+} leaves none",
                    found.rows
                ));
            }
            Some(rows) => found.rows = rows,
        }
    }
    for source in &tune.add {
        check_name(&source.name)?;
        if find(&mut schema.sources, &source.name).is_some() {
            return refused(format!("it already has a data source {}", source.name));
        }
        schema.sources.push(as_kept(source));
    }
    Ok(schema)
}

fn find<'a>(sources: &'a mut [DataSource], name: &str) -> Option<&'a mut DataSource> {
    sources.iter_mut().find(|source| source.name == name)
}
