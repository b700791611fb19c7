//! Headers of plain files, byte for byte as `atoll.oci.tar.header` writes them.

const BLOCK: usize = 512;
const NAME: usize = 100;
const OCTAL_7: u32 = 0o7777777;
const OCTAL_11: i128 = 0o77777777777;
const SECOND: i128 = 1_000_000_000;
/// Magic, no owner's names, device 0:0, no prefix.
const TAIL: (&[u8], usize, &[u8], usize) =
    (b"ustar\x0000", 64, b"0000000\x000000000\x00", 155 + 12);

/// What a header says of a file.
pub struct File<'a> {
    pub path: &'a [u8],
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64, // less than 8 GiB
    pub mtime: i64,
    pub mtime_nsec: i64, // 0 to 999,999,999
}

/// How many zeros fill `size` bytes up to a whole block.
pub fn padding(size: usize) -> usize {
    size.wrapping_neg() % BLOCK
}

/// The header blocks of `file`.
pub fn header(file: &File) -> Vec<u8> {
    let mut pax = Vec::new();
    let mut name = file.path;
    if name.len() > NAME || !name.is_ascii() {
        record(&mut pax, b"path", name);
        name = &name[..name.len().min(NAME)];
    }
    let uid = number_that_fits(&mut pax, b"uid", file.uid);
    let gid = number_that_fits(&mut pax, b"gid", file.gid);
    let mut seconds = i128::from(file.mtime);
    if file.mtime_nsec != 0 || !(0..=OCTAL_11).contains(&seconds) {
        record(
            &mut pax,
            b"mtime",
            time(file.mtime, file.mtime_nsec).as_bytes(),
        );
        seconds = seconds.clamp(0, OCTAL_11);
    }
    let mut blocks = Vec::with_capacity(2 * BLOCK + pax.len() + padding(pax.len()));
    if !pax.is_empty() {
        block(
            &mut blocks,
            b"././@PaxHeader",
            b'x',
            0o644,
            0,
            0,
            pax.len() as u64,
            0,
        );
        blocks.extend_from_slice(&pax);
        blocks.resize(blocks.len() + padding(pax.len()), 0);
    }
    block(
        &mut blocks,
        name,
        b'0',
        file.mode,
        uid,
        gid,
        file.size,
        seconds,
    );
    blocks
}

fn number_that_fits(pax: &mut Vec<u8>, key: &[u8], number: u32) -> u32 {
    if number <= OCTAL_7 {
        return number;
    }
    record(pax, key, number.to_string().as_bytes());
    0
}

/// Seconds with nine digits after the point, or none; the sign stands before the whole.
fn time(seconds: i64, nanoseconds: i64) -> String {
    let whole = i128::from(seconds) * SECOND + i128::from(nanoseconds);
    let sign = if whole < 0 { "-" } else { "" };
    let (seconds, fraction) = (whole.abs() / SECOND, whole.abs() % SECOND);
    match fraction {
        0 => format!("{sign}{seconds}"),
        _ => format!("{sign}{seconds}.{fraction:09}"),
    }
}

/// `length key=value\n`, where the length counts its own digits too.
fn record(pax: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let size = key.len() + value.len() + 3;
    let length = size + digits(size);
    let length = size + digits(length);
    pax.extend_from_slice(length.to_string().as_bytes());
    pax.push(b' ');
    pax.extend_from_slice(key);
    pax.push(b'=');
    pax.extend_from_slice(value);
    pax.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

#[allow(clippy::too_many_arguments)] // the fields of a ustar block
fn block(
    blocks: &mut Vec<u8>,
    name: &[u8],
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: i128,
) {
    let start = blocks.len();
    blocks.extend_from_slice(name);
    blocks.resize(start + NAME, 0);
    let numbers = format!("{mode:07o}\0{uid:07o}\0{gid:07o}\0{size:011o}\0{mtime:011o}\0");
    blocks.extend_from_slice(numbers.as_bytes());
    blocks.extend_from_slice(b"        "); // the sum counts its own field as spaces
    blocks.push(kind);
    blocks.resize(blocks.len() + NAME, 0); // no link
    blocks.extend_from_slice(TAIL.0);
    blocks.resize(blocks.len() + TAIL.1, 0);
    blocks.extend_from_slice(TAIL.2);
    blocks.resize(blocks.len() + TAIL.3, 0);
    let sum: u32 = blocks[start..].iter().map(|byte| u32::from(*byte)).sum();
    blocks[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
