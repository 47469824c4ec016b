//! librrd as the rest of apmon uses it: requests to a child process.

mod encode;
mod pending;

use std::{fmt, io, path::Path, process::Command, sync::Arc, time::Duration};

use apmon_worker::{Death, Worker, WorkerError, WorkerLimits};

pub use self::pending::Pending;
use self::{
    encode::{encode_update, request},
    pending::Answer,
};

use crate::{
    error::RrdError,
    librrd::{Service, outcome},
    operation::{FileInfo, LastValues, Tune, Update},
    schema::{Consolidation, Schema},
    series::Fetched,
    wire::{Decoder, Encoder, HasNul, Malformed, Operation},
};

/// Environment variables that change what librrd does: one sends requests to a daemon, which
/// batches as well and loses more, and the other makes it wait for locks, from 1.9 on.
const UNWANTED: [&str; 2] = ["RRDCACHED_ADDRESS", "RRD_LOCKING"];

/// How often a fetch begins anew because the file was changed between two of its parts.
const FETCH_ATTEMPTS: usize = 3;

/// librrd, run in a child process. Cheap to clone. The child starts with the first request, and
/// again after it has died; requests that it had not begun are kept meanwhile.
///
/// Requests are carried out one after the other, in their order.
#[derive(Clone)]
pub struct Librrd {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Worker(Arc<Worker>),
    #[cfg(feature = "in-process")]
    InProcess,
}

/// librrd in this process, where it is loaded at most once and used by one thread at a time.
#[cfg(feature = "in-process")]
static IN_PROCESS: std::sync::Mutex<Option<Service>> = std::sync::Mutex::new(None);

/// Serves the requests of a [`Librrd`]: the main function of the program that is its worker.
/// Loads librrd with the first request, and answers that it is missing where it is.
///
/// # Errors
///
/// If the pipe to the parent breaks. Return it from `main`, and the parent shows it.
pub fn serve() -> io::Result<()> {
    let mut service = Service::default();
    apmon_worker::serve(move |request| service.answer(request))
}

impl Librrd {
    /// librrd in a child process that `command` starts. Its program calls [`serve`].
    ///
    /// The child gets the environment of the command, without variables that make librrd work
    /// in another way.
    #[must_use]
    pub fn worker(mut command: Command) -> Self {
        for variable in UNWANTED {
            command.env_remove(variable);
        }
        let mut limits = WorkerLimits::default();
        // A daemon writes the batches of all its monitors at once.
        limits.queue = 1 << 15;
        limits.queue_bytes = 128 << 20;
        // To copy a file of hundreds of megabytes takes a slow disk this long.
        limits.request_time = Duration::from_secs(120);
        Self {
            place: Place::Worker(Arc::new(Worker::new(command, limits))),
        }
    }

    /// librrd in this process, for programs that accept that it may end them: it dies of SIGBUS
    /// when another program copies over a file that is being updated.
    ///
    /// # Errors
    ///
    /// [`NoLibrary`](RrdError::NoLibrary) if it cannot be loaded.
    #[cfg(feature = "in-process")]
    pub fn in_process() -> Result<Self, RrdError> {
        let mut service = lock();
        if service.is_none() {
            *service = Some(Service::load().map_err(|fault| fault.at(Path::new("")))?);
        }
        Ok(Self {
            place: Place::InProcess,
        })
    }

    /// Starts the child and has it load librrd, without waiting for that.
    pub fn start(&self) {
        if let Ok(request) = request(Operation::Version, Path::new("")) {
            drop(self.send(request));
        }
    }

    /// The version of librrd, such as `1.7.2`.
    ///
    /// # Errors
    ///
    /// [`NoLibrary`](RrdError::NoLibrary) where there is none.
    pub fn version(&self) -> Result<String, RrdError> {
        let path = Path::new("");
        self.ask(path, request(Operation::Version, path), |answer| answer.string())
    }

    /// Creates a file that accepts values for moments after `last_update`, in seconds since
    /// the epoch. It is readable by everybody.
    ///
    /// # Errors
    ///
    /// [`NoSpace`](RrdError::NoSpace) if the disk has no space for all of it;
    /// [`Refused`](RrdError::Refused) if the file exists, or librrd does not accept the schema.
    pub fn create(&self, path: &Path, schema: &Schema, last_update: i64) -> Result<(), RrdError> {
        let request = request(Operation::Create, path).and_then(|mut request| {
            request.schema(schema)?;
            request.signed(last_update);
            Ok(request)
        });
        self.ask(path, request, |_| Ok(()))
    }

    /// Sends values on their way and does not wait.
    ///
    /// At most 32,768 requests, or 128 MiB, can be unanswered; what is too much fails at once with
    /// [`Worker`](RrdError::Worker).
    pub fn update(&self, path: &Path, update: &Update) -> Pending {
        let mut refused = Vec::new();
        let request = encode_update(path, update, &mut refused);
        let is_empty = refused.len() == update.points.len();
        Pending {
            path: path.to_owned(),
            refused,
            answer: (!is_empty).then(|| match request {
                Ok(request) => self.send(request),
                Err(reason) => Answer::Failed(refusal(path, reason)),
            }),
        }
    }

    /// The values between two moments, in seconds since the epoch, from the archive whose step
    /// is nearest to `step` among those that reach back far enough.
    ///
    /// The last row is the first that ends after `end`, as with `rrdtool fetch`. Rows before the
    /// oldest that the file can hold, and more than one or two after its last update, are left
    /// out.
    ///
    /// # Errors
    ///
    /// [`Missing`](RrdError::Missing), [`Damaged`](RrdError::Damaged),
    /// [`Locked`](RrdError::Locked); [`Refused`](RrdError::Refused) if the file has no archive
    /// of this consolidation.
    pub fn fetch(
        &self,
        path: &Path,
        consolidation: Consolidation,
        start: i64,
        end: i64,
        step: u64,
    ) -> Result<Fetched, RrdError> {
        if start > end {
            let reason = format!("the range ends at {end}, before its start at {start}");
            return Err(refusal(path, reason));
        }
        let part = |skip| {
            let request = request(Operation::Fetch, path).map(|mut request| {
                request.consolidation(consolidation);
                request.signed(start);
                request.signed(end);
                request.number(step);
                request.count(skip);
                request
            });
            self.ask(path, request, decode_fetched)
        };
        for _ in 0..FETCH_ATTEMPTS {
            let (mut fetched, all) = part(0)?;
            while fetched.len() < all {
                let (next, _) = part(fetched.len())?;
                let is_same =
                    (next.start, next.step, &next.sources) == (fetched.start, fetched.step, &fetched.sources);
                if !is_same || next.is_empty() {
                    break;
                }
                fetched.values.extend(next.values);
            }
            if fetched.len() == all {
                return Ok(fetched);
            }
        }
        Err(refusal(path, "it changes while it is read".to_owned()))
    }

    /// What a file consists of.
    ///
    /// # Errors
    ///
    /// [`Missing`](RrdError::Missing), [`Damaged`](RrdError::Damaged),
    /// [`Locked`](RrdError::Locked).
    pub fn info(&self, path: &Path) -> Result<FileInfo, RrdError> {
        self.ask(path, request(Operation::Info, path), |answer| {
            Ok(FileInfo {
                schema: answer.schema()?,
                last_update: answer.signed()?,
                size: answer.number()?,
                version: answer.string()?,
            })
        })
    }

    /// The values of the last update.
    ///
    /// # Errors
    ///
    /// As [`info`](Self::info).
    pub fn last_values(&self, path: &Path) -> Result<LastValues, RrdError> {
        self.ask(path, request(Operation::LastValues, path), |answer| {
            Ok(LastValues {
                at: answer.signed()?,
                values: answer.list(|it| {
                    let name = it.string()?;
                    Ok((name, Some(it.real()?).filter(|value| !value.is_nan())))
                })?,
            })
        })
    }

    /// The end of the first row that an archive can hold, in seconds since the epoch. `round` is
    /// the archive's place in the file, from 0.
    ///
    /// # Errors
    ///
    /// As [`info`](Self::info); [`Refused`](RrdError::Refused) if there is no such archive.
    pub fn first(&self, path: &Path, round: usize) -> Result<i64, RrdError> {
        let request = request(Operation::First, path).map(|mut request| {
            request.count(round);
            request
        });
        self.ask(path, request, |answer| answer.signed())
    }

    /// Changes a file and keeps what is in it. If anything but heartbeats is changed, a copy is
    /// made beside the file and takes its name at the end.
    ///
    /// # Errors
    ///
    /// [`NoSpace`](RrdError::NoSpace) if the disk has no space for the copy;
    /// [`Refused`](RrdError::Refused) if the file is not as asked for afterwards; as
    /// [`info`](Self::info).
    pub fn tune(&self, path: &Path, tune: &Tune) -> Result<(), RrdError> {
        let request = request(Operation::Tune, path).and_then(|mut request| {
            request.count(tune.add.len());
            tune.add.iter().try_for_each(|source| request.source(source))?;
            request.count(tune.rows.len());
            for (round, rows) in &tune.rows {
                request.count(*round);
                request.signed(*rows);
            }
            request.count(tune.heartbeat.len());
            for (name, heartbeat) in &tune.heartbeat {
                request.text(name.as_bytes())?;
                request.number(*heartbeat);
            }
            Ok(request)
        });
        self.ask(path, request, |_| Ok(()))
    }

    /// Accepts no more requests, and waits until all that were accepted are carried out and the
    /// child has ended; after `timeout` it is killed.
    pub fn finish(&self, timeout: Duration) {
        match &self.place {
            Place::Worker(worker) => drop(worker.finish(timeout)),
            #[cfg(feature = "in-process")]
            Place::InProcess => {}
        }
    }

    /// Sends a request and waits for its answer.
    fn ask<T>(
        &self,
        path: &Path,
        request: Result<Encoder, HasNul>,
        decode: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
    ) -> Result<T, RrdError> {
        let request = request.map_err(|HasNul| refusal(path, "a text contains NUL".to_owned()))?;
        let answer = self.send(request).wait(path)?;
        let mut answer = outcome(&answer, path)?;
        let result = decode(&mut answer)?;
        answer.end()?;
        Ok(result)
    }

    fn send(&self, request: Encoder) -> Answer {
        match &self.place {
            Place::Worker(worker) => match worker.request(request.finish()) {
                Ok(reply) => Answer::Coming(reply),
                Err(error) => Answer::Failed(RrdError::Worker(error.to_string())),
            },
            #[cfg(feature = "in-process")]
            Place::InProcess => match lock().as_mut() {
                Some(service) => Answer::Known(service.answer(&request.finish())),
                None => Answer::Failed(RrdError::NoLibrary(String::new())),
            },
        }
    }
}

#[cfg(feature = "in-process")]
fn lock() -> std::sync::MutexGuard<'static, Option<Service>> {
    IN_PROCESS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl fmt::Debug for Librrd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Worker(worker) => f.debug_tuple("Librrd").field(worker).finish(),
            #[cfg(feature = "in-process")]
            Place::InProcess => f.write_str("Librrd(in this process)"),
        }
    }
}

fn refusal(path: &Path, reason: String) -> RrdError {
    let path = path.to_owned();
    RrdError::Refused { path, reason }
}

/// A request that did not get an answer. A signal of a fault is the file's, most likely; other
/// deaths may have any cause.
fn worker_error(error: &WorkerError, path: &Path) -> RrdError {
    const FAULTS: [i32; 5] = [
        libc::SIGBUS,
        libc::SIGSEGV,
        libc::SIGABRT,
        libc::SIGFPE,
        libc::SIGILL,
    ];
    match error {
        WorkerError::Died {
            death: death @ Death::Signalled(signal),
            ..
        } if FAULTS.contains(signal) => RrdError::Crashed {
            path: path.to_owned(),
            reason: death.to_string(),
        },
        error => RrdError::Worker(error.to_string()),
    }
}

/// A part of the rows, and the number of all.
fn decode_fetched(answer: &mut Decoder<'_>) -> Result<(Fetched, usize), Malformed> {
    let (start, step) = (answer.signed()?, answer.number()?);
    let sources = answer.list(Decoder::string)?;
    let all = answer.index()?;
    let rows = answer.count()?;
    let mut values = Vec::new();
    for _ in 0..rows.saturating_mul(sources.len()) {
        values.push(answer.real()?);
    }
    let fetched = Fetched {
        start,
        step,
        sources,
        values,
    };
    Ok((fetched, all))
}
