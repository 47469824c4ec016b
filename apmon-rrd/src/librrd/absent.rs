//! Where librrd cannot be used: its functions have other types on 32-bit systems, and a program
//! that is linked statically cannot load a library.

use std::ffi::{CStr, CString};

pub(super) type Reason = String;

/// Never there.
#[derive(Debug)]
pub(super) enum Library {}

#[derive(Debug)]
pub(super) struct Rows {
    pub(super) start: i64,
    pub(super) step: u64,
    pub(super) names: Vec<String>,
    pub(super) values: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
#[allow(dead_code)] // what librrd would return
pub(super) enum InfoValue<'a> {
    Real(f64),
    Count(u64),
    Text(&'a str),
    Other,
}

impl Library {
    pub(super) fn load() -> Result<Self, Reason> {
        Err("this build of apmon is for a 32-bit system, or linked statically, and cannot use it".to_owned())
    }

    pub(super) fn version(&mut self) -> String {
        match *self {}
    }

    pub(super) fn create(&mut self, _: &CStr, _: u64, _: i64, _: &[CString]) -> Result<(), Reason> {
        match *self {}
    }

    pub(super) fn update(&mut self, _: &CStr, _: &CStr, _: &[&CStr]) -> Result<(), Reason> {
        match *self {}
    }

    pub(super) fn fetch(&mut self, _: &CStr, _: &CStr, _: (i64, i64), _: u64) -> Result<Rows, Reason> {
        match *self {}
    }

    pub(super) fn info(&mut self, _: &CStr, _: impl FnMut(&str, InfoValue<'_>)) -> Result<(), Reason> {
        match *self {}
    }

    pub(super) fn last_update(&mut self, _: &CStr) -> Result<(i64, Vec<(String, String)>), Reason> {
        match *self {}
    }

    pub(super) fn last(&mut self, _: &CStr) -> Result<i64, Reason> {
        match *self {}
    }

    pub(super) fn first(&mut self, _: &CStr, _: i32) -> Result<i64, Reason> {
        match *self {}
    }

    pub(super) fn tune(&mut self, _: &[CString]) -> Result<(), Reason> {
        match *self {}
    }
}
