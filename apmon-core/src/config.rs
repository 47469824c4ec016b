//! The site file: seed 003's options, read with every mistake at its place.
//!
//! Text becomes events, events a tree whose scalars keep their text, and a
//! section of the tree an options struct; the struct's types decide how a text
//! is read, so that `mac: 18:12:29:45:10:11` and an all-digit fingerprint keep
//! theirs. All mistakes of meaning are collected; a syntax error ends the
//! reading.

mod address;
mod channel;
mod deserializer;
mod diagnostic;
mod fallback;
mod field;
mod monitor;
mod preset;
mod remote;
mod section;
mod site;
mod source;
mod status;
mod tree;
mod value;
mod webhook;

pub use address::{Host, is_email_address, is_same_server};
pub use channel::{Facility, OutageCommand, OutageSyslog, SyslogPlace};
pub use deserializer::one_or_many;
pub use diagnostic::{ConfigError, Diagnostic, Position};
pub use fallback::ChannelOptions;
pub use field::fields_of;
pub use monitor::{MonitorEntry, MonitorOptions, Origin, Sourced};
pub use preset::Preset;
pub use remote::{Remote, ResolveOptions};
pub use section::Section;
pub use site::{
    EmailServer, MailProtection, OutageEmail, RESERVED_NAMES, SiteFile, SiteOptions, load, parse,
};
pub use source::{Environment, MAX_FILE_BYTES, ProcessEnvironment};
pub use status::StatusRange;
pub use value::{AddressFamily, Count, NameResolution, PortNumber, Seconds, Text};
pub use webhook::{OutageWebhook, RequestEncoding, RequestMethod};

#[cfg(test)]
mod tests;
