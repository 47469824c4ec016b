//! History in RRD files: which sites keep it, who writes it, and how much space it takes.

mod drawing;
mod history;
mod pages;
mod picture;
mod rare;
mod settings;
mod size;
mod worker;

pub(crate) use self::{
    drawing::{Subject, chart},
    history::{History, PASS_END, PASS_WRITES},
    rare::{rare_pass, rare_values},
    settings::{RecordedMonitor, Settings, directory_of},
    size::report,
    worker::{WorkerArgs, librrd, serve},
};
