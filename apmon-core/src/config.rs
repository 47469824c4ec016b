//! The site file: the options of APMonitor, and every error with its position.
//!
//! Text becomes events, events become a tree whose scalars keep their text, and
//! each section of the tree becomes an options struct. The struct's types decide
//! how a text is read, so that `mac: 18:12:29:45:10:11` and an all-digit
//! fingerprint stay as they were written. All errors in the content are
//! collected; a syntax error ends the reading.

mod address;
mod channel;
mod defaults;
mod deserializer;
mod diagnostic;
mod field;
mod file;
mod foreign;
mod hint;
mod likely_error;
mod monitor;
mod one_or_many;
mod position;
mod read_error;
mod reference;
mod remote;
mod section;
mod site;
mod source;
mod source_address;
mod status_range;
mod tree;
mod unknown;
mod value;
mod variables;

pub use address::Host;
pub use channel::{ChannelEntry, ChannelOptions};
pub use defaults::MonitorDefaults;
pub use diagnostic::{ConfigError, Diagnostic};
pub use field::fields_of;
pub use file::{ProcessSection, SiteFile, Tables, check_process, load, parse};
pub use monitor::{MonitorEntry, MonitorOptions, Origin, Sourced};
pub use one_or_many::one_or_many;
pub use position::{FileId, Position};
pub use remote::{Remote, ResolveOptions};
pub use section::Section;
pub use site::{RESERVED_NAMES, SiteOptions};
pub use source::{Environment, MAX_FILE_BYTES, ProcessEnvironment};
pub use source_address::SourceAddresses;
pub use status_range::StatusRange;
pub use value::{AddressFamily, Addresses, Count, NameResolution, PortNumber, Seconds, Text};

#[cfg(test)]
mod tests;
