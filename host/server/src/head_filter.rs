//! Shortens heads that hyper cannot hold, so that the host answers their requests, and not hyper.
//!
//! A sidecar resends a message forever if hyper refuses its headers. So beyond some limits further header lines are
//! dropped while a head is read, and the request is marked: nobody may mistake it for a complete one.
//!
//! Nothing else may change. The lines that determine the end of the body always pass ([`Kept::Always`]), and only lines
//! that hyper would accept are dropped. [`super::framing`] finds the start of the next head, and hyper must agree. If that
//! is in doubt, the head is refused, by a NUL that is put into it: one that passed unread would take all heads behind it
//! past this filter. So heads are refused with anything odd in them (a bare CR or LF, a fold, a space in a name), with a
//! length beside a transfer coding, and with any other length that is not one number. hyper would accept some of them, and
//! RFC 9112 has them as ways to smuggle requests (sections 2.2 and 6.1); no client of today sends them.
//!
//! The first line of HTTP/2 gets a NUL as well: hyper would close the connection without an answer.

mod line;

use super::framing::{Body, Framing, FramingFault};
use super::head::{self, LineLimits};
use line::{Kept, ONCE, field, is_of_name, is_of_value};

/// The limits beyond which a head is shortened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Header lines.
    pub(super) lines: usize,
    /// Bytes of the whole head.
    pub(super) bytes: usize,
    /// Bytes of one name. hyper accepts less than 64 KiB.
    pub(super) name: usize,
    /// Bytes of a value that passes because of its name, whatever has passed before it.
    pub(super) value: usize,
    /// The maximum number of bytes dropped from one head.
    pub(super) dropped: usize,
}

impl Bounds {
    /// The rest of hyper's own limits is reserved for the lines that always pass.
    pub(super) fn of(lines: LineLimits) -> Bounds {
        Bounds {
            lines: lines.passed,
            bytes: head::MAX_BYTES / 8 * 7,
            name: 8 * 1024,
            value: 16 * 1024,
            dropped: 64 * 1024 * 1024,
        }
    }
}

/// The first line of HTTP/2, before its CR and LF (RFC 9113, section 3.4). No request of HTTP/1 begins with it.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";
/// The maximum number of empty lines before a request line. hyper skips them, and some old clients send one behind a body.
const MAX_EMPTY_LINES: usize = 8;
/// What makes hyper refuse a head: it accepts a NUL nowhere in it. It may look at a head only once that has an empty line.
const REFUSED: &[u8] = b"\0\r\n\r\n";

enum State {
    /// In the request line, behind a CR or not. The second number counts the bytes that are those of [`HTTP_2`].
    RequestLine(bool, usize),
    /// In the name of a header, which is buffered until it is complete.
    Name,
    Value {
        is_behind_cr: bool,
        /// Bytes that may still pass.
        room: usize,
    },
    Dropping {
        is_in_name: bool,
        is_behind_cr: bool,
        /// A part of the line has passed.
        is_begun: bool,
    },
    Body(Body),
    /// Behind a head or a body that hyper refuses. It reads no further.
    Refused,
}

/// The part of the current head that was read.
#[derive(Default)]
struct HeadSoFar {
    /// Lines and bytes that have passed.
    lines: usize,
    bytes: usize,
    /// Empty lines before it.
    empty_lines: usize,
    /// Bytes that were dropped.
    dropped: usize,
    /// The names of [`ONCE`] that have passed beyond the limits.
    once: [bool; ONCE.len()],
}

/// The filter of one connection.
pub(super) struct HeadFilter {
    bounds: Bounds,
    state: State,
    framing: Framing,
    held: Vec<u8>,
    head: HeadSoFar,
    /// Heads that have passed.
    heads: u64,
    /// Lines that were dropped, completely or in part, since the last query.
    cut: usize,
    /// What was wrong with the framing of the last head.
    fault: Option<FramingFault>,
}

impl HeadFilter {
    pub(super) fn new(bounds: Bounds) -> HeadFilter {
        HeadFilter {
            bounds,
            state: State::RequestLine(false, 0),
            framing: Framing::default(),
            held: Vec::new(),
            head: HeadSoFar::default(),
            heads: 0,
            cut: 0,
            fault: None,
        }
    }

    /// The number of next bytes that belong to no head. They pass unchanged.
    pub(super) fn skip(&mut self, input: &[u8]) -> usize {
        match &mut self.state {
            State::Body(body) => {
                let own = body.follow(input);
                match body {
                    Body::Ended => self.state = State::RequestLine(false, 0),
                    Body::Lost => self.state = State::Refused,
                    _ => {}
                }
                own
            }
            State::Refused => input.len(),
            _ => 0,
        }
    }

    /// Passes the permitted bytes on. `reads` is the number of requests before the one whose head hyper reads now, if
    /// it reads a head: no other head is shortened.
    pub(super) fn pass(&mut self, mut input: &[u8], reads: Option<u64>, output: &mut Vec<u8>) {
        while !input.is_empty() {
            let may_cut = reads == Some(self.heads);
            let taken = match self.state {
                State::RequestLine(behind_cr, http_2) => self.request_line(input, behind_cr, http_2, output),
                State::Name => self.name(input, may_cut, output),
                State::Value { is_behind_cr, room } => self.value(input, may_cut, is_behind_cr, room, output),
                State::Dropping { is_in_name, is_behind_cr, is_begun } => {
                    self.drop_line(input, is_in_name, is_behind_cr, is_begun, output)
                }
                State::Body(_) | State::Refused => {
                    let taken = self.skip(input);
                    output.extend_from_slice(&input[..taken]);
                    taken
                }
            };
            input = &input[taken..];
        }
    }

    /// The number of lines dropped since the last call.
    pub(super) fn take_cut(&mut self) -> usize {
        std::mem::take(&mut self.cut)
    }

    /// What was wrong with the framing of the last head. hyper refuses such a head without a word of it.
    pub(super) fn fault(&self) -> Option<FramingFault> {
        self.fault
    }

    /// Each of these consumes bytes, and returns their number.
    fn request_line(&mut self, input: &[u8], behind_cr: bool, http_2: usize, output: &mut Vec<u8>) -> usize {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(input.len(), |end| end + 1);
        // As long as all bytes of the line have been those of HTTP/2.
        let expected = HTTP_2.get(http_2..).filter(|_| http_2 == self.head.bytes).unwrap_or_default();
        let same = input.iter().zip(expected).take_while(|(byte, expected)| byte == expected).count();
        if !expected.is_empty() && same == expected.len() {
            self.fault = Some(FramingFault::Http2);
            output.extend_from_slice(&input[..same]);
            return self.refuse(same, output);
        }
        let before = if taken > 1 { input.get(taken - 2).copied() } else { behind_cr.then_some(b'\r') };
        let (is_behind_cr, line) = (before == Some(b'\r'), self.head.bytes + taken);
        let is_empty = line == "\n".len() + usize::from(is_behind_cr);
        self.state = match end {
            None => {
                self.head.bytes = line;
                State::RequestLine(input.ends_with(b"\r"), http_2 + same)
            }
            Some(_) if is_empty && self.head.empty_lines < MAX_EMPTY_LINES => {
                self.head.bytes = 0;
                self.head.empty_lines += 1;
                State::RequestLine(false, 0)
            }
            Some(_) if is_behind_cr && !is_empty => {
                self.head.bytes = line;
                State::Name
            }
            Some(end) => {
                self.fault = (!is_behind_cr).then_some(FramingFault::BareLf);
                output.extend_from_slice(&input[..end]);
                return self.refuse(end, output);
            }
        };
        output.extend_from_slice(&input[..taken]);
        taken
    }

    fn name(&mut self, input: &[u8], may_cut: bool, output: &mut Vec<u8>) -> usize {
        for (at, byte) in input.iter().enumerate() {
            match byte {
                b':' if !matches!(&*self.held, b"" | b"\r") => {
                    self.end_name(may_cut, output);
                    return at + 1;
                }
                b'\n' if self.held == b"\r" => {
                    self.end_head(output);
                    return at + 1;
                }
                b'\r' if self.held.is_empty() => self.held.push(b'\r'),
                byte if is_of_name(*byte) && self.held != b"\r" => self.held.push(*byte),
                byte => return self.refuse_byte(*byte, at, output),
            }
            if self.held.len() > self.bounds.name {
                if !may_cut {
                    return self.refuse(at + 1, output);
                }
                self.drop_from_here(true, false);
                return at + 1;
            }
        }
        input.len()
    }

    /// The name is complete, up to its colon.
    fn end_name(&mut self, may_cut: bool, output: &mut Vec<u8>) {
        let kept = line::kept(&self.held);
        let is_beyond = self.head.lines >= self.bounds.lines || self.head.bytes >= self.bounds.bytes;
        let passes = match kept {
            Kept::Always => true,
            Kept::Once(place) => !is_beyond || !std::mem::replace(&mut self.head.once[place], true),
            Kept::Never => !is_beyond,
        };
        if !passes && may_cut {
            return self.drop_from_here(false, false);
        }
        self.head.lines += 1;
        self.head.bytes += self.held.len() + ":\r\n".len();
        let room = self.bounds.bytes.saturating_sub(self.head.bytes);
        let room = match kept {
            Kept::Always => usize::MAX,
            Kept::Once(_) => room.max(self.bounds.value),
            Kept::Never => room,
        };
        self.framing.begin(field(&self.held));
        output.append(&mut self.held);
        output.push(b':');
        self.state = State::Value { is_behind_cr: false, room };
    }

    fn value(
        &mut self,
        input: &[u8],
        may_cut: bool,
        is_behind_cr: bool,
        room: usize,
        output: &mut Vec<u8>,
    ) -> usize {
        if is_behind_cr {
            output.push(b'\r');
            if input[0] != b'\n' {
                return self.refuse(0, output);
            }
            output.push(b'\n');
            self.framing.end();
            self.state = State::Name;
            return 1;
        }
        let end = input.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(input.len());
        let part = if may_cut { end.min(room) } else { end };
        output.extend_from_slice(&input[..part]);
        self.framing.value(&input[..part]);
        self.head.bytes += part;
        self.state = State::Value { is_behind_cr: false, room: room.saturating_sub(part) };
        if part < end {
            self.drop_from_here(false, true);
            return part;
        }
        match input.get(end) {
            // The CR waits for its LF: nothing may be inserted between them.
            Some(b'\r') => self.state = State::Value { is_behind_cr: true, room },
            Some(byte) => return self.refuse_byte(*byte, end, output),
            None => return end,
        }
        end + 1
    }

    fn drop_from_here(&mut self, is_in_name: bool, is_begun: bool) {
        self.head.dropped += self.held.len();
        self.held.clear();
        self.cut += 1;
        self.state = State::Dropping { is_in_name, is_behind_cr: false, is_begun };
    }

    fn drop_line(
        &mut self,
        input: &[u8],
        mut is_in_name: bool,
        mut is_behind_cr: bool,
        is_begun: bool,
        output: &mut Vec<u8>,
    ) -> usize {
        for (at, byte) in input.iter().enumerate() {
            match byte {
                b'\n' if is_behind_cr => {
                    output.extend_from_slice(if is_begun { b"\r\n" } else { b"" });
                    self.framing.end();
                    self.head.dropped += at + 1;
                    self.state = State::Name;
                    return at + 1;
                }
                b':' if is_in_name => is_in_name = false,
                b'\r' if !is_in_name && !is_behind_cr => is_behind_cr = true,
                byte if is_behind_cr || (is_in_name && !is_of_name(*byte)) || !is_of_value(*byte) => {
                    return self.refuse_byte(*byte, at, output);
                }
                _ => {}
            }
            if self.head.dropped + at > self.bounds.dropped {
                return self.refuse(at, output);
            }
        }
        self.head.dropped += input.len();
        self.state = State::Dropping { is_in_name, is_behind_cr, is_begun };
        input.len()
    }

    /// The head has ended.
    fn end_head(&mut self, output: &mut Vec<u8>) {
        self.fault = self.framing.fault();
        match self.framing.body() {
            Some(body) => {
                output.append(&mut self.held);
                self.state = State::Body(body);
            }
            None => {
                self.refuse(0, output);
            }
        }
        output.push(b'\n');
        self.framing = Framing::default();
        self.head = HeadSoFar::default();
        self.heads += 1;
    }

    /// Makes hyper refuse the head.
    fn refuse(&mut self, taken: usize, output: &mut Vec<u8>) -> usize {
        output.extend_from_slice(REFUSED);
        output.append(&mut self.held);
        self.state = State::Refused;
        taken
    }

    /// The same for a byte that no head has in this place.
    fn refuse_byte(&mut self, byte: u8, taken: usize, output: &mut Vec<u8>) -> usize {
        self.fault = (byte == b'\n').then_some(FramingFault::BareLf);
        self.refuse(taken, output)
    }
}

#[cfg(test)]
mod tests;
