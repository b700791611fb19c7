//! One plain file: opened, looked at and read as `atoll.oci.directory` does it.

use std::ffi::CStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::raw::{c_char, c_int};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::io::{AsRawFd, FromRawFd};

use crate::tar;

const SECTOR: u64 = 512; // the unit of st_blocks, whatever the file system's own
const SPECIAL: u32 = 0o7000; // setuid, setgid, sticky
const PERMISSIONS: u32 = 0o777;
/// Attributes that no image gets and that mean nothing to a source of layers.
const IGNORED: [&[u8]; 4] = [
    b"security.selinux",
    b"security.ima",
    b"security.evm",
    b"trusted.overlay.origin",
];

const EOPNOTSUPP: i32 = 95; // <asm-generic/errno.h>
const ENODATA: i32 = 61;

extern "C" {
    fn openat(directory: c_int, name: *const c_char, flags: c_int, ...) -> c_int;
    fn flistxattr(file: c_int, names: *mut c_char, size: usize) -> isize;
}

/// A part of a user namespace's map: ids from `inside` on are the host's from `outside` on.
#[repr(C)]
pub struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

/// What is a plain file, and whose it is in the layer.
pub struct Rules<'a> {
    /// Flags with which a name is opened without reading or following it.
    pub look: c_int,
    /// Bytes of the largest file that is read at once.
    pub largest: u64,
    /// Everybody's (uid, gid); None for the files' own.
    pub owner: Option<(u32, u32)>,
    /// None outside a user namespace.
    pub maps: Option<(&'a [Range], &'a [Range])>,
}

/// A file in the tar stream.
pub struct Packed {
    pub header: usize,
    pub size: usize,
    pub whole: usize,
    /// It changed while it was read.
    pub torn: bool,
}

/// Why a file is not packed.
pub enum Not {
    /// It is not plain, or cannot be read: whoever asked looks at it.
    Plain,
    /// It does not fit into the room that is left.
    Fits,
}

impl From<io::Error> for Not {
    fn from(_: io::Error) -> Self {
        Not::Plain
    }
}

/// Puts the file `name` of `directory` into `room` under `path`: header, content and padding.
///
/// It is looked at before it is opened, since opening a device may already do something, and
/// whoever owns the directory may put one there at any time.
pub fn pack(
    directory: c_int,
    name: &CStr,
    path: &[u8],
    rules: &Rules,
    room: &mut [u8],
) -> Result<Packed, Not> {
    let handle = look(directory, name, rules.look)?;
    let status = handle.metadata()?;
    if !is_plain(&status, rules.largest) {
        return Err(Not::Plain);
    }
    let (uid, gid) = owner(&status, rules).ok_or(Not::Plain)?;
    let file = File::open(format!("/proc/self/fd/{}", handle.as_raw_fd()))?;
    if has_attributes(&file)? {
        return Err(Not::Plain);
    }
    let header = tar::header(&tar::File {
        path,
        mode: status.mode() & PERMISSIONS,
        uid,
        gid,
        size: status.len(),
        mtime: status.mtime(),
        mtime_nsec: status.mtime_nsec(),
    });
    let size = status.len() as usize;
    let end = header.len() + size;
    let whole = end + tar::padding(size);
    if whole > room.len() {
        return Err(Not::Fits);
    }
    room[..header.len()].copy_from_slice(&header);
    read(&file, &mut room[header.len()..end])?;
    room[end..whole].fill(0);
    let torn = seen(&status) != seen(&file.metadata()?);
    Ok(Packed {
        header: header.len(),
        size,
        whole,
        torn,
    })
}

fn look(directory: c_int, name: &CStr, flags: c_int) -> io::Result<File> {
    // SAFETY: the name ends with a NUL and outlives the call; the result is checked, and nobody
    // else has that descriptor.
    unsafe {
        match openat(directory, name.as_ptr(), flags) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(File::from_raw_fd(descriptor)),
        }
    }
}

fn is_plain(status: &Metadata, largest: u64) -> bool {
    status.is_file()
        && status.nlink() == 1
        && status.len() <= largest
        && status.blocks() * SECTOR >= status.len() // no holes
        && status.mode() & SPECIAL == 0
}

fn owner(status: &Metadata, rules: &Rules) -> Option<(u32, u32)> {
    match (rules.owner, rules.maps) {
        (Some(owner), _) => Some(owner),
        (None, None) => Some((status.uid(), status.gid())),
        (None, Some((uids, gids))) => {
            Some((inside(uids, status.uid())?, inside(gids, status.gid())?))
        }
    }
}

fn inside(map: &[Range], host: u32) -> Option<u32> {
    let range = map
        .iter()
        .find(|range| host >= range.outside && host - range.outside < range.count)?;
    range.inside.checked_add(host - range.outside)
}

/// Whether it has an attribute that somebody must look at.
fn has_attributes(file: &File) -> io::Result<bool> {
    let mut names = [0_u8; 256];
    // SAFETY: the buffer is as long as it says.
    let length = unsafe {
        flistxattr(
            file.as_raw_fd(),
            names.as_mut_ptr() as *mut c_char,
            names.len(),
        )
    };
    if length < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(EOPNOTSUPP) | Some(ENODATA) => Ok(false), // this file system has none
            _ => Err(error),
        };
    }
    let mut each = names[..length as usize].split(|byte| *byte == 0);
    Ok(each.any(|name| !name.is_empty() && !IGNORED.contains(&name)))
}

/// Fills `content` from the file's start; with zeros where the file has become shorter.
fn read(file: &File, content: &mut [u8]) -> io::Result<()> {
    let mut at = 0;
    while at < content.len() {
        match file.read_at(&mut content[at..], at as u64) {
            Ok(0) => break,
            Ok(count) => at += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    content[at..].fill(0);
    Ok(())
}

fn seen(status: &Metadata) -> (u64, i64, i64, i64, i64) {
    let (modified, changed) = (status.mtime(), status.ctime());
    (
        status.len(),
        modified,
        status.mtime_nsec(),
        changed,
        status.ctime_nsec(),
    )
}
