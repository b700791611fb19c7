//! Plain files of one directory, put into the tar stream of a layer.
//!
//! Called from `atoll.oci.native` by ctypes, which gives up Python's lock meanwhile. Whatever is not
//! a plain file (attributes, several names, holes, setuid, not readable) is left to the caller.

mod plain;
mod tar;

use std::ffi::CStr;
use std::os::raw::{c_char, c_int};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice::from_raw_parts;
use std::time::{Duration, Instant};

use plain::{pack, Not, Range, Rules};

/// The version of this interface; `atoll.oci.native` takes no other.
const VERSION: u32 = 1;

/// After this a call ends, so that others have their turn, and somebody may ask how far it is, or stop it.
const LONGEST: Duration = Duration::from_micros(500);

/// What every call of one source has in common; `atoll.oci.native._Rules`.
#[repr(C)]
pub struct Given {
    look: c_int,
    mapped: c_int,
    largest: u64,
    uid: i64, // -1 for the files' own
    gid: i64,
    uids: *const Range,
    uid_count: usize,
    gids: *const Range,
    gid_count: usize,
}

/// A file that was packed: where its content is in the room; `atoll.oci.native._FILE`.
#[repr(C)]
pub struct Saved {
    start: u32,
    size: u32,
    torn: u32,
}

/// What one call did.
#[repr(C)]
pub struct Done {
    files: usize,
    bytes: usize,
    /// Whether it ended at a file that is not plain.
    asks: c_int,
}

/// Which interface this library has.
#[no_mangle]
pub extern "C" fn atoll_version() -> u32 {
    VERSION
}

/// Packs files in their order, until one is not plain or does not fit, or time has passed.
///
/// # Safety
///
/// `names` are `count` names, a NUL after each; `parent` is the directory's path with its slash, or
/// empty; `room` has `size` bytes, fewer than 4 GiB; `saved` has room for `count`.
#[no_mangle]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn atoll_pack(
    given: *const Given,
    directory: c_int,
    parent: *const u8,
    parent_size: usize,
    names: *const c_char,
    count: usize,
    room: *mut u8,
    size: usize,
    saved: *mut Saved,
) -> Done {
    let given = &*given;
    let rules = Rules {
        look: given.look,
        largest: given.largest,
        owner: (given.uid >= 0).then_some((given.uid as u32, given.gid as u32)),
        maps: (given.mapped != 0).then(|| {
            (
                from_raw_parts(given.uids, given.uid_count),
                from_raw_parts(given.gids, given.gid_count),
            )
        }),
    };
    let mut path = from_raw_parts(parent, parent_size).to_vec();
    let room = std::slice::from_raw_parts_mut(room, size);
    let mut done = Done {
        files: 0,
        bytes: 0,
        asks: 0,
    };
    let mut next = names;
    let began = Instant::now();
    while done.files < count && (done.files == 0 || began.elapsed() < LONGEST) {
        let name = CStr::from_ptr(next);
        next = next.add(name.to_bytes().len() + 1);
        path.truncate(parent_size);
        path.extend_from_slice(name.to_bytes());
        let left = &mut room[done.bytes..];
        // a panic must not leave through C; what it had written counts as not written
        let packed = catch_unwind(AssertUnwindSafe(|| {
            pack(directory, name, &path, &rules, left)
        }));
        match packed.unwrap_or(Err(Not::Plain)) {
            Ok(file) => {
                saved.add(done.files).write(Saved {
                    start: (done.bytes + file.header) as u32,
                    size: file.size as u32,
                    torn: file.torn.into(),
                });
                done.files += 1;
                done.bytes += file.whole;
            }
            Err(Not::Fits) if done.files > 0 => break,
            Err(_) => {
                done.asks = 1;
                break;
            }
        }
    }
    done
}
