//! What runs in the child: librrd, and how its traps are avoided.
//!
//! | module | holds |
//! |---|---|
//! | `ffi`, or `absent` where there is none | librrd's functions, loaded at run time |
//! | `fault` | what librrd's texts mean, and files that are locked for a moment |
//! | `place` | the disk below a file: space, what is kept in memory, modes |
//! | `create`, `update`, `read`, `tune` | the operations |

#[cfg(all(unix, target_pointer_width = "64", not(target_env = "musl")))]
mod ffi;
#[cfg(not(all(unix, target_pointer_width = "64", not(target_env = "musl"))))]
#[path = "librrd/absent.rs"]
mod ffi;

mod create;
mod fault;
mod place;
mod read;
mod tune;
mod update;

use std::ffi::CStr;

use self::{fault::Fault, ffi::Library};
use crate::wire::{Decoder, Encoder, Malformed, Operation};

pub(crate) use self::fault::outcome;

/// Answers requests, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Service {
    /// Loaded with the first request that needs it. It is looked for again while it is missing:
    /// it may be installed meanwhile.
    library: Option<Library>,
}

impl Service {
    /// A service whose library has been loaded, for use within this process.
    #[cfg(feature = "in-process")]
    pub(crate) fn load() -> Result<Self, Fault> {
        let mut service = Self::default();
        service.library()?;
        Ok(service)
    }

    /// Answers a request. The answer to one that makes no sense makes none either.
    pub(crate) fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let answer = match self.dispatch(&mut Decoder::new(request)) {
            Ok(answer) => answer,
            Err(Malformed) => return Vec::new(),
        };
        match answer {
            Ok(answer) => answer.finish(),
            Err(fault) => fault.encode(),
        }
    }

    fn dispatch(&mut self, request: &mut Decoder<'_>) -> Result<Result<Encoder, Fault>, Malformed> {
        let operation = request.operation()?;
        let path = request.text()?;
        let library = match self.library() {
            Ok(library) => library,
            Err(fault) => return Ok(Err(fault)),
        };
        operate(library, operation, path, request)
    }

    fn library(&mut self) -> Result<&mut Library, Fault> {
        if self.library.is_none() {
            self.library = Some(Library::load().map_err(Fault::NoLibrary)?);
        }
        // It was loaded the line before.
        self.library
            .as_mut()
            .ok_or_else(|| Fault::NoLibrary(String::new()))
    }
}

/// Decodes what follows the path, and carries the operation out.
fn operate(
    library: &mut Library,
    operation: Operation,
    path: &CStr,
    request: &mut Decoder<'_>,
) -> Result<Result<Encoder, Fault>, Malformed> {
    let mut answer = Encoder::default();
    fault::begin(&mut answer);
    let outcome = match operation {
        Operation::Version => {
            request.end()?;
            answer.own_text(&library.version());
            Ok(())
        }
        Operation::Create => {
            let (schema, last_update) = (request.schema()?, request.signed()?);
            request.end()?;
            create::create(library, path, &schema, last_update)
        }
        Operation::Update => {
            let template = request.text()?;
            let points = request.list(|it| Ok((it.signed()?, it.text()?)))?;
            request.end()?;
            update::update(library, path, template, &points).map(|updated| updated.encode(&mut answer))
        }
        Operation::Fetch => {
            let wanted = read::Wanted::decode(request)?;
            request.end()?;
            read::fetch(library, path, &wanted, &mut answer)
        }
        Operation::Info => {
            request.end()?;
            read::info(library, path).map(|info| read::encode_info(&info, &mut answer))
        }
        Operation::LastValues => {
            request.end()?;
            read::last_values(library, path, &mut answer)
        }
        Operation::First => {
            let round = request.index()?;
            request.end()?;
            read::first(library, path, round).map(|first| answer.signed(first))
        }
        Operation::Tune => {
            let tune = tune::decode(request)?;
            request.end()?;
            tune::tune(library, path, &tune)
        }
    };
    Ok(outcome.map(|()| answer))
}
