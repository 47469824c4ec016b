//! Writing the files, for a web server that runs as another user.

mod directory;
mod group;
mod script;

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use self::directory::Directory;
use super::{
    Pictures, SiteView,
    cfg::{self, cfg},
    detail,
    index::index,
    site_directory,
    target::named,
};

/// Where the files of a site go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The configuration for MRTG's tools, beside the site's state: `office.statefile.mrtg.cfg`.
    pub cfg: PathBuf,
    /// The directory of the pages of all sites: WORKDIR. The site has its own below.
    pub pages: PathBuf,
    /// The suffix of the pictures that apmon draws where there is no `mrtg-rrd.cgi.pl`: `svg` or
    /// `png`.
    pub suffix: &'static str,
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The directory of the site's pages, which is also that of its pictures.
    pub directory: PathBuf,
    /// Whether the pictures are drawn by `mrtg-rrd.cgi.pl`. If not, apmon has to draw them.
    pub has_cgi: bool,
    /// What could not be written, or will not work.
    pub problems: Vec<MrtgError>,
    pages: Directory,
}

impl Written {
    /// Replaces a picture, which [`picture_file`](super::picture_file) names.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn draw(&self, file: &str, picture: &[u8]) -> Result<(), MrtgError> {
        self.pages.replace(file, picture)
    }

    /// When a picture was drawn; `None` if it was not.
    #[must_use]
    pub fn drawn(&self, file: &str) -> Option<Timestamp> {
        self.pages.modified(file)
    }
}

/// Why a file was not written, or is of no use as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MrtgError {
    /// The system refused a step.
    #[error("cannot {step} {}", .path.display())]
    Io {
        /// What was tried: `create`, `replace`.
        step: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The site's directory is a link, which may be anybody's.
    #[error("{} is not a directory; apmon does not follow a link there", .0.display())]
    NotOurs(PathBuf),
    /// The script is not one that apmon knows, or cannot hold the entry.
    #[error("{} does not list the site: {reason}", .path.display())]
    NotListed {
        /// The script.
        path: PathBuf,
        /// Why.
        reason: super::ListError,
    },
    /// Another program holds the lock of the script for too long.
    #[error("{} is being changed by another program", .0.display())]
    Busy(PathBuf),
    /// The list had another configuration for a site of this name.
    #[error(
        "{} listed {former} for the site {site}: the pages of two sites whose names differ only in special \
         characters replace each other", .path.display()
    )]
    Replaced {
        /// The script.
        path: PathBuf,
        /// The site, as it is in links.
        site: String,
        /// The configuration that it listed.
        former: String,
    },
    /// The script cannot read a path that is in the configuration.
    #[error("mrtg-rrd.cgi.pl cannot read {}: {reason}", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The script keeps its pictures in the directory of the pages, as the web server's user.
    #[error(
        "mrtg-rrd.cgi.pl cannot write its pictures into {}: the directory must be writable for the group \
         {} (chgrp, chmod g+w)", .0.display(), group::WEB_SERVER
    )]
    NotWritable(PathBuf),
}

impl MrtgError {
    fn io<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io {
            step,
            path: path.to_owned(),
            source,
        }
    }
}

/// Writes the configuration and the pages of a site, and enters it in the list of
/// `mrtg-rrd.cgi.pl` if that is there: in the directory above the pages, or, as before APMonitor
/// 1.3.8, beside them.
///
/// A file that cannot be written is a problem, and the others are written. The files are readable
/// by everybody (0644, directories 0755) and belong to the group `www-data` where there is one
/// and apmon may give them to it.
///
/// # Errors
/// If the directory of the pages cannot be made.
pub fn write(site: &SiteView<'_>, to: &Destination) -> Result<Written, MrtgError> {
    Writer {
        site,
        to,
        group: group::web_server(),
        problems: Vec::new(),
    }
    .write()
}

struct Writer<'a> {
    site: &'a SiteView<'a>,
    to: &'a Destination,
    group: Option<u32>,
    problems: Vec<MrtgError>,
}

impl Writer<'_> {
    fn write(mut self) -> Result<Written, MrtgError> {
        let key = site_directory(self.site.name);
        let all = absolute(&self.to.pages)?;
        let pages = Directory::make(&all, self.group)?.child(&key)?;
        let cfg_path = absolute(&self.to.cfg)?;
        let written = self.cfg(&cfg_path, &pages);
        self.note(written);

        let cgi = match script::find(&all) {
            None => None,
            Some(path) => self.cgi(&path, &key, &cfg_path, &pages),
        };
        let pictures = match &cgi {
            None => Pictures::Files {
                suffix: self.to.suffix,
            },
            Some(links) => Pictures::Cgi {
                site: links.with_site.then_some(key.as_str()),
            },
        };
        for named in named(self.site) {
            // The kinds without a device have one chart, which `mrtg-rrd.cgi.pl` has a page for.
            if named.monitor.is_device() || cgi.is_none() {
                let former = pages.read(&named.page());
                let page = detail::page(self.site, &named, pictures, former.as_deref());
                self.note(pages.replace(&named.page(), page.as_bytes()));
            }
        }
        // Last, because it leads to the others.
        let index = index(self.site, pictures);
        self.note(pages.replace("index.html", index.as_bytes()));
        Ok(Written {
            directory: pages.path().to_owned(),
            has_cgi: cgi.is_some(),
            problems: self.problems,
            pages,
        })
    }

    fn note(&mut self, written: Result<(), MrtgError>) {
        self.problems.extend(written.err());
    }

    fn cfg(&self, path: &Path, pages: &Directory) -> Result<(), MrtgError> {
        let beside = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = cfg(self.site, pages.path());
        Directory::make(beside, self.group)?.replace(&name, text.as_bytes())
    }

    /// Enters the site in the list of the script. `None` if it will not draw the pictures.
    fn cgi(&mut self, path: &Path, key: &str, cfg: &Path, pages: &Directory) -> Option<Links> {
        let entered = match script::enter(path, key, cfg) {
            Ok(entered) => entered,
            Err(error) => {
                self.problems.push(error);
                return None;
            }
        };
        if let Some(former) = entered.replaced {
            self.problems.push(MrtgError::Replaced {
                path: path.to_owned(),
                site: key.to_owned(),
                former,
            });
        }
        self.note(pages.open_to_group());
        let displayed = self.site.monitors.iter().filter(|monitor| monitor.display);
        let files = displayed.map(|monitor| monitor.file.as_path());
        let mut paths = std::iter::once(pages.path()).chain(files);
        // One of them, because the others are in the same directory.
        let unreadable = paths.find_map(|path| Some((path, cfg::unreadable(path)?)));
        if let Some((path, reason)) = unreadable {
            self.problems.push(MrtgError::Path {
                path: path.to_owned(),
                reason,
            });
        }
        Some(Links {
            with_site: entered.has_sites,
        })
    }
}

/// How the links to the script are made.
struct Links {
    with_site: bool,
}

fn absolute(path: &Path) -> Result<PathBuf, MrtgError> {
    std::path::absolute(path).map_err(MrtgError::io("find", path))
}

#[cfg(test)]
mod tests;
