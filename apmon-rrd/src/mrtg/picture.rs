//! Where the pictures of a target are, and what they lead to.

use super::{Period, html::percent};

/// Who draws the pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pictures<'a> {
    /// `mrtg-rrd.cgi.pl`, when they are asked for. Its links carry the site, unless it is one that
    /// knows no sites.
    Cgi {
        /// The directory of the site, if the links carry it.
        site: Option<&'a str>,
    },
    /// apmon, into files beside the pages.
    Files {
        /// The suffix of the files: `svg` or `png`.
        suffix: &'static str,
    },
}

/// The file of a picture that apmon draws, beside the pages: `web-day.svg`.
#[must_use]
pub fn picture_file(target: &str, period: Period, suffix: &str) -> String {
    format!("{target}-{}.{suffix}", period.as_str())
}

impl Pictures<'_> {
    /// The address of a picture.
    pub(super) fn source(self, target: &str, period: Period) -> String {
        match self {
            Self::Cgi { site } => format!("{}{}", below(site), percent(&picture_file(target, period, "png"))),
            Self::Files { suffix } => percent(&picture_file(target, period, suffix)),
        }
    }

    /// The address of the page with all pictures of a target, if it is not the monitor's own.
    pub(super) fn page(self, target: &str) -> Option<String> {
        match self {
            Self::Cgi { site } => Some(format!("{}{}.html", below(site), percent(target))),
            Self::Files { .. } => None,
        }
    }
}

fn below(site: Option<&str>) -> String {
    match site {
        Some(site) => format!("/mrtg-rrd/{}/", percent(site)),
        None => "/mrtg-rrd/".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_cgi_carry_the_site() {
        let source = |site| Pictures::Cgi { site }.source("Büro-bandwidth", Period::Week);
        assert_eq!(
            source(Some("Home_Lab")),
            "/mrtg-rrd/Home_Lab/B%C3%BCro-bandwidth-week.png"
        );
        assert_eq!(source(None), "/mrtg-rrd/B%C3%BCro-bandwidth-week.png");
    }

    #[test]
    fn pictures_in_files_are_beside_the_pages() {
        let files = Pictures::Files { suffix: "svg" };
        assert_eq!(files.source("web", Period::Year), "web-year.svg");
        assert_eq!(files.page("web"), None);
    }
}
