//! A supervised child process for C code on foreign bytes.
//!
//! A library that parses what others wrote may crash or hang. In a child it takes nothing else
//! with it. A [`Worker`] starts the child with the first request, sends requests through a pipe,
//! and replaces the child when it dies. The program of the child calls [`serve()`].
//!
//! - Every accepted request gets exactly one answer or error, in the order of the requests, and
//!   is carried out at most once.
//! - When the child dies, by whatever means, the request that it had begun fails with
//!   [`WorkerError::Died`]. The others stay queued for the next child, and so does a request of
//!   which the child had read nothing.
//! - Nothing is unbounded: the queue, the length of a [frame](MAX_FRAME), the time of a request,
//!   the number of starts ([`WorkerLimits`]).
//! - [`Worker::request`] never blocks. A [`Reply`] is a future, and a thread can wait for it.
//!
//! Not for: work in parallel (a child has one thread; several workers are several children),
//! code that is hostile (the child is not a sandbox), or systems other than Unix.
//!
//! ```
//! use std::{process::Command, time::Duration};
//!
//! use apmon_worker::{Worker, WorkerError, WorkerLimits};
//!
//! let worker = Worker::new(Command::new("/usr/lib/rrd-worker"), WorkerLimits::default());
//! let reply = worker.request(b"last /var/lib/a.rrd".to_vec())?;
//! let answer = reply.wait(Duration::from_secs(60)).expect("a request ends long before");
//! // There is no such program. The README has a complete example, with one that answers.
//! assert!(matches!(answer, Err(WorkerError::CannotStart { .. })));
//! # Ok::<(), apmon_worker::RequestError>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `worker`, `limits`, `reply`, `error` | what users see: requests, limits, replies, errors |
//! | `serve` | the child's side |
//! | `frame` | the protocol on the pipe |
//! | `inbox`, `queue` | requests on their way to the supervisor, and their order, bounds and blame |
//! | `supervisor`, `shared` | the thread that owns the child, and what it shares with the worker |
//! | `restart` | when the next child may start |
//! | `child`, `process`, `pipe`, `tail` | one child: talking with it, its end, its last output |
//! | `clock` | the clock |

mod child;
mod clock;
mod error;
mod frame;
mod inbox;
mod limits;
mod pipe;
mod process;
mod queue;
mod reply;
mod restart;
mod serve;
mod shared;
mod supervisor;
mod tail;
mod worker;

pub use error::{Death, RequestError, WorkerError};
pub use frame::MAX_FRAME;
pub use limits::WorkerLimits;
pub use reply::Reply;
pub use serve::serve;
pub use worker::Worker;

// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
