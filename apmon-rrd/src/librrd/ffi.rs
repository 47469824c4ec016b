//! librrd's functions, loaded at run time. The only module of this crate with `unsafe` code.
//!
//! librrd keeps state of its own, so a [`Library`] is used by one thread at a time: its functions
//! take it by `&mut`, and a process has at most one. Not among them are the functions for graphs,
//! which crash when they run in parallel and draw boxes for letters where there are no fonts, and
//! `rrd_resize`, which writes its copy into the working directory.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, CString, c_char, c_double, c_int, c_ulong, c_void},
    ptr, slice,
};

use libc::time_t;

/// The name that all versions from 1.6 to 1.9 have.
const NAME: &CStr = c"librrd.so.8";

/// The flags of `rrd_updatex_r`: none. Points that are too old are reported, not skipped.
const NO_FLAGS: c_int = 0;

/// A file that exists is not replaced, as librrd does by default.
const NO_OVERWRITE: c_int = 1;

/// What librrd says of a failure; it may be empty.
pub(super) type Reason = String;

/// Rows as librrd returns them: the first ends a step after `start`.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) start: i64,
    pub(super) step: u64,
    pub(super) names: Vec<String>,
    pub(super) values: Vec<f64>,
}

/// A value of `rrd_info_r`.
#[derive(Clone, Copy, Debug)]
pub(super) enum InfoValue<'a> {
    Real(f64),
    Count(u64),
    Text(&'a str),
    /// A kind that is of no interest here.
    Other,
}

/// A node of the list that `rrd_info_r` returns.
#[repr(C)]
struct Node {
    key: *const c_char,
    kind: c_int,
    value: Content,
    next: *const Node,
}

#[repr(C)]
union Content {
    real: c_double,
    count: c_ulong,
    text: *const c_char,
    int: c_int,
    /// Not read; it gives the union its size.
    _blob: Blob,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Blob {
    _size: c_ulong,
    _bytes: *const u8,
}

macro_rules! functions {
    ($($field:ident: $symbol:literal fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// librrd, which stays loaded until the process ends.
        #[derive(Debug)]
        pub(super) struct Library {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Library {
            /// Loads it, or says why that fails.
            pub(super) fn load() -> Result<Self, Reason> {
                Self::load_named(NAME)
            }

            fn load_named(name: &CStr) -> Result<Self, Reason> {
                let handle = open(name)?;
                Ok(Self {
                    $(
                        // SAFETY: the type is that of rrd.h for this symbol; see the table below.
                        $field: unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C" fn($($argument),*) $(-> $result)?,
                            >(symbol(handle, $symbol)?)
                        },
                    )*
                })
            }
        }
    };
}

type Strings = *const *const c_char;

// From rrd.h of 1.7.2, for 64 bits. Where other versions differ in `const`, the call is the same.
functions! {
    create: c"rrd_create_r2"
        fn(*const c_char, c_ulong, time_t, c_int, Strings, *const c_char, c_int, Strings) -> c_int;
    update: c"rrd_updatex_r" fn(*const c_char, *const c_char, c_int, c_int, Strings) -> c_int;
    fetch: c"rrd_fetch_r" fn(
        *const c_char, *const c_char, *mut time_t, *mut time_t, *mut c_ulong, *mut c_ulong,
        *mut *mut *mut c_char, *mut *mut c_double
    ) -> c_int;
    info: c"rrd_info_r" fn(*const c_char) -> *mut Node;
    info_free: c"rrd_info_free" fn(*mut Node);
    last_update: c"rrd_lastupdate_r" fn(
        *const c_char, *mut time_t, *mut c_ulong, *mut *mut *mut c_char, *mut *mut *mut c_char
    ) -> c_int;
    last: c"rrd_last_r" fn(*const c_char) -> time_t;
    first: c"rrd_first_r" fn(*const c_char, c_int) -> time_t;
    tune: c"rrd_tune" fn(c_int, *mut *mut c_char) -> c_int;
    error: c"rrd_get_error" fn() -> *const c_char;
    has_error: c"rrd_test_error" fn() -> c_int;
    clear_error: c"rrd_clear_error" fn();
    free: c"rrd_freemem" fn(*mut c_void);
    version: c"rrd_strversion" fn() -> *const c_char;
}

/// Loads a library for ever.
///
/// It is never unloaded: a thread that has used librrd and ends after that crashes, because the
/// library's destructor for the thread's state is gone.
fn open(name: &CStr) -> Result<*mut c_void, Reason> {
    // SAFETY: the name ends with NUL. The initialisers of the library and of those that it needs
    // run, as they do in each program that is linked to it.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NODELETE) };
    if handle.is_null() {
        return Err(load_error());
    }
    Ok(handle)
}

fn symbol(handle: *mut c_void, name: &CStr) -> Result<*mut c_void, Reason> {
    // SAFETY: the handle is that of a loaded library, and the name ends with NUL.
    let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
    if address.is_null() {
        return Err(load_error());
    }
    Ok(address)
}

fn load_error() -> Reason {
    // SAFETY: dlerror returns NULL or a text that is valid until the thread's next call.
    unsafe { text(libc::dlerror()) }
}

/// A copy of a text of C; empty for NULL.
///
/// # Safety
///
/// Unless it is NULL, it ends with NUL and is not changed meanwhile.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn pointers<T: AsRef<CStr>>(texts: &[T]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ref().as_ptr()).collect()
}

/// The number of arguments. No request that fits into a frame has more.
fn count(arguments: usize) -> Result<c_int, Reason> {
    c_int::try_from(arguments).map_err(|_| format!("{arguments} arguments are too many"))
}

fn size(count: c_ulong) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl Library {
    /// Its version, such as `1.7.2`.
    pub(super) fn version(&mut self) -> String {
        // SAFETY: the text is a constant of the library.
        unsafe { text((self.version)()) }
    }

    /// Creates a file; `arguments` are its sources and archives.
    pub(super) fn create(
        &mut self,
        path: &CStr,
        step: u64,
        last_update: i64,
        arguments: &[CString],
    ) -> Result<(), Reason> {
        let pointers = pointers(arguments);
        let count = count(pointers.len())?;
        // SAFETY: all texts end with NUL and live until the call returns. Neither a list of
        // source files nor a template is given.
        let code = unsafe {
            (self.clear_error)();
            (self.create)(
                path.as_ptr(),
                step,
                last_update,
                NO_OVERWRITE,
                ptr::null(),
                ptr::null(),
                count,
                pointers.as_ptr(),
            )
        };
        self.outcome(code == 0)
    }

    /// Stores points, as `rrdtool update --template` reads them, until one is refused.
    pub(super) fn update(&mut self, path: &CStr, template: &CStr, points: &[&CStr]) -> Result<(), Reason> {
        let pointers = pointers(points);
        let count = count(pointers.len())?;
        // SAFETY: all texts end with NUL and live until the call returns; librrd copies what it
        // cuts into pieces.
        let code = unsafe {
            (self.clear_error)();
            (self.update)(
                path.as_ptr(),
                template.as_ptr(),
                NO_FLAGS,
                count,
                pointers.as_ptr(),
            )
        };
        self.outcome(code == 0)
    }

    /// The rows of a range of which `start` is not after `end`: librrd asks for memory of a
    /// negative size otherwise.
    pub(super) fn fetch(
        &mut self,
        path: &CStr,
        consolidation: &CStr,
        (start, end): (i64, i64),
        step: u64,
    ) -> Result<Rows, Reason> {
        if start > end {
            return Err(format!("the range ends at {end}, before its start at {start}"));
        }
        let (mut start, mut end, mut step, mut sources) = (start, end, step, 0);
        let (mut names, mut values) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the texts end with NUL, and all results have a place.
        let code = unsafe {
            (self.clear_error)();
            (self.fetch)(
                path.as_ptr(),
                consolidation.as_ptr(),
                &raw mut start,
                &raw mut end,
                &raw mut step,
                &raw mut sources,
                &raw mut names,
                &raw mut values,
            )
        };
        self.outcome(code == 0)?;
        let rows = end.saturating_sub(start) / i64::try_from(step.max(1)).unwrap_or(i64::MAX);
        let length = usize::try_from(rows).unwrap_or(0).saturating_mul(size(sources));
        // SAFETY: after success, `names` has as many texts as there are sources, and `values` a
        // value for each source and row. Both are librrd's, and given back to it.
        unsafe {
            let names = self.take_texts(names, size(sources));
            let copy = match length {
                // What librrd returns for no rows may be NULL.
                0 => Vec::new(),
                _ => slice::from_raw_parts(values, length).to_vec(),
            };
            (self.free)(values.cast());
            Ok(Rows {
                start,
                step,
                names,
                values: copy,
            })
        }
    }

    /// Calls `each` with every key and value of `rrdtool info`.
    pub(super) fn info(
        &mut self,
        path: &CStr,
        mut each: impl FnMut(&str, InfoValue<'_>),
    ) -> Result<(), Reason> {
        // SAFETY: the text ends with NUL.
        let list = unsafe {
            (self.clear_error)();
            (self.info)(path.as_ptr())
        };
        self.outcome(!list.is_null())?;
        let mut next = list.cast_const();
        // SAFETY: the list belongs to this function until it is freed, and the kind of a node
        // says which part of its union is set (rrd_info_type_t: 0 f64, 1 ulong, 2 string, 3 int).
        unsafe {
            while let Some(node) = next.as_ref() {
                let key = text(node.key);
                let copy;
                let value = match node.kind {
                    0 => InfoValue::Real(node.value.real),
                    1 => InfoValue::Count(node.value.count),
                    2 => {
                        copy = text(node.value.text);
                        InfoValue::Text(&copy)
                    }
                    3 => u64::try_from(node.value.int).map_or(InfoValue::Other, InfoValue::Count),
                    _ => InfoValue::Other,
                };
                each(&key, value);
                next = node.next;
            }
            (self.info_free)(list);
        }
        Ok(())
    }

    /// The moment of the last update, and the text that was written for each source.
    pub(super) fn last_update(&mut self, path: &CStr) -> Result<(i64, Vec<(String, String)>), Reason> {
        let (mut at, mut sources) = (0, 0);
        let (mut names, mut values) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the text ends with NUL, and all results have a place.
        let code = unsafe {
            (self.clear_error)();
            (self.last_update)(
                path.as_ptr(),
                &raw mut at,
                &raw mut sources,
                &raw mut names,
                &raw mut values,
            )
        };
        self.outcome(code == 0)?;
        // SAFETY: after success, both lists have as many texts as there are sources. They are
        // librrd's, and given back to it.
        let (names, values) = unsafe {
            (
                self.take_texts(names, size(sources)),
                self.take_texts(values, size(sources)),
            )
        };
        Ok((at, names.into_iter().zip(values).collect()))
    }

    /// The moment of the last update.
    pub(super) fn last(&mut self, path: &CStr) -> Result<i64, Reason> {
        // SAFETY: the text ends with NUL.
        let at = unsafe {
            (self.clear_error)();
            (self.last)(path.as_ptr())
        };
        self.outcome(true)?;
        Ok(at)
    }

    /// The moment of the first row that an archive can hold. It may be before 1970, so a negative
    /// number is not an error; the text of one is.
    pub(super) fn first(&mut self, path: &CStr, round: i32) -> Result<i64, Reason> {
        // SAFETY: the text ends with NUL.
        let at = unsafe {
            (self.clear_error)();
            (self.first)(path.as_ptr(), round)
        };
        self.outcome(true)?;
        Ok(at)
    }

    /// Runs `rrdtool tune` with these arguments. Success does not say that anything was changed.
    pub(super) fn tune(&mut self, arguments: &[CString]) -> Result<(), Reason> {
        // Its parser reorders the list and may write into the texts, so it gets copies.
        let mut copies: Vec<Vec<u8>> = arguments
            .iter()
            .map(|argument| argument.as_bytes_with_nul().to_vec())
            .collect();
        let mut pointers: Vec<*mut c_char> = copies.iter_mut().map(|copy| copy.as_mut_ptr().cast()).collect();
        let count = count(pointers.len())?;
        pointers.push(ptr::null_mut());
        // SAFETY: all texts end with NUL, may be written to, and live until the call returns; so
        // does the list, which ends with NULL as that of a program does.
        let code = unsafe {
            (self.clear_error)();
            (self.tune)(count, pointers.as_mut_ptr())
        };
        self.outcome(code == 0)
    }

    /// What became of a call. tune returns success with the text of an error, so both count.
    fn outcome(&mut self, is_success: bool) -> Result<(), Reason> {
        // SAFETY: these functions only use the state of librrd for this thread; the text is valid
        // until it is cleared.
        unsafe {
            if is_success && (self.has_error)() == 0 {
                return Ok(());
            }
            let reason = text((self.error)());
            (self.clear_error)();
            Err(reason)
        }
    }

    /// Copies a list of texts and gives it back to librrd.
    ///
    /// # Safety
    ///
    /// librrd has returned the list, it has `count` texts, and nothing else frees it.
    unsafe fn take_texts(&self, list: *mut *mut c_char, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for i in 0..count {
            // SAFETY: as the caller promises.
            unsafe {
                let item = *list.add(i);
                texts.push(text(item));
                (self.free)(item.cast());
            }
        }
        // SAFETY: as the caller promises.
        unsafe { (self.free)(list.cast()) };
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let reason = Library::load_named(c"librrd.so.99").unwrap_err();
        assert!(reason.contains("librrd.so.99"), "{reason}");
        assert!(reason.contains("No such file"), "{reason}");
    }

    #[test]
    fn a_library_that_is_another_one_is_refused() {
        let reason = Library::load_named(c"libm.so.6").unwrap_err();
        assert!(reason.contains("rrd_create_r2"), "{reason}");
    }
}
