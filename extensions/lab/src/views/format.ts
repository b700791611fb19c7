/** Numbers, sizes and times as people read them. */

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Bytes, with two digits that matter: `312 MB`, `3.1 MB`. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? ''}`;
}

/** A whole number with separators: `336,776`. */
export function count(number: number): string {
  return number.toLocaleString('en-US');
}

/** A number that nobody counted exactly: `~41 M`. */
export function roughly(number: number): string {
  const scales: [number, string][] = [
    [1e9, ' B'],
    [1e6, ' M'],
    [1e3, ' k']
  ];
  for (const [scale, letter] of scales) {
    if (number >= scale) {
      return `~${(number / scale).toPrecision(2)}${letter}`;
    }
  }
  return `~${String(number)}`;
}

/** `1 file`, `12 files`. */
export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** Hours and minutes of the day: `18:42`. */
export function clock(time: Date): string {
  return `${pad(time.getHours())}:${pad(time.getMinutes())}`;
}

/** How long ago, as one would say it: `2 min ago`, `yesterday 18:42`, `Mon 09:10`, `12 Nov 2026`. */
export function relative(time: Date, now: Date): string {
  const past = now.getTime() - time.getTime();
  const days = Math.round((midnight(now) - midnight(time)) / DAY);
  if (past < MINUTE) {
    return 'just now';
  }
  if (past < HOUR) {
    return `${String(Math.floor(past / MINUTE))} min ago`;
  }
  if (days === 0 || past < 6 * HOUR) {
    return `${String(Math.floor(past / HOUR))} h ago`;
  }
  if (days === 1) {
    return `yesterday ${clock(time)}`;
  }
  if (days < 7) {
    return `${time.toLocaleDateString('en-GB', { weekday: 'short' })} ${clock(time)}`;
  }
  return time.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
}

/** When something was, as short as it is clear today: `18:42`, `yesterday 18:42`, `Mon 09:10`. */
export function moment(time: Date, now: Date): string {
  return midnight(now) === midnight(time) ? clock(time) : relative(time, now);
}

/** The exact moment, in the reader's own zone and manner. */
export function exact(time: Date): string {
  return time.toLocaleString(undefined, { dateStyle: 'full', timeStyle: 'long' });
}

/** A duration: `00:41`, `02:14`, `1:02:14`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const hours = Math.floor(seconds / 3600);
  const rest = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return hours > 0 ? `${String(hours)}:${rest}` : rest;
}

/** The first digits of a digest, enough to tell environments apart. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}

/** A share from 0 to 1 as percent: `2.4 %`; what is there at all is never shown as none. */
export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) {
    return '<0.1 %';
  }
  return `${value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`;
}

function midnight(time: Date): number {
  return new Date(time.getFullYear(), time.getMonth(), time.getDate()).getTime();
}

function pad(number: number): string {
  return String(number).padStart(2, '0');
}
