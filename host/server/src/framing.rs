//! The end of a request's body, behind which the next head begins, for the [`super::head_filter`].
//!
//! Only unambiguous bodies are followed: without a length, with one, or in chunks. If a byte of a body were mistaken for
//! one of a head, a request could be smuggled in a body. Chunks, their extensions and trailers are followed as hyper reads
//! them (`proto/h1/decode.rs` of hyper 1.12), to the last form that it takes. What it refuses of them ends the connection.

/// The bytes of a header's value that are examined.
const MAX_VALUE: usize = 64;
/// The digits of a length: too few to overflow.
const MAX_DIGITS: u8 = 15;
/// The bytes of the extensions of one chunk, and those of all trailers, that are followed. hyper's limits are the same.
const MAX_EXTRA: u16 = 16 * 1024;

/// A header that determines the length of the body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    ContentLength,
    TransferEncoding,
}

/// The framing of a body, according to the head so far.
#[derive(Default)]
pub(super) struct Framing {
    /// The header whose value follows.
    field: Option<Field>,
    value: Vec<u8>,
    length: Option<u64>,
    is_chunked: bool,
    is_doubtful: bool,
    is_enormous: bool,
    /// The headers that have come, in any form.
    has_length: bool,
    has_coding: bool,
    /// A transfer coding is not `chunked` alone.
    is_foreign: bool,
}

/// What is wrong with the framing of a body, so that hyper refuses the head, or must.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FramingFault {
    /// The length is a number beyond all bodies.
    Enormous,
    /// There is a length, and a transfer coding as well: for one reader the body may end elsewhere than for another.
    TwoLengths,
    /// There is a transfer coding that is not `chunked`.
    ForeignCoding,
    /// There is any other doubt, such as two lengths, or one that is not a number.
    Uncertain,
    /// A line of the head ends with an LF alone.
    BareLf,
    /// These are the first bytes of HTTP/2, which has other frames.
    Http2,
}

impl Framing {
    /// A header line begins.
    pub(super) fn begin(&mut self, field: Option<Field>) {
        self.field = field;
        self.value.clear();
    }

    /// A part of its value.
    pub(super) fn value(&mut self, part: &[u8]) {
        if self.field.is_some() {
            let most = part.len().min(MAX_VALUE + 1 - self.value.len());
            self.value.extend_from_slice(&part[..most]);
        }
    }

    /// The line ends.
    pub(super) fn end(&mut self) {
        let value = self.value.trim_ascii();
        // A second one of either is ambiguous, even if it is equal.
        let is_first = self.length.is_none() && !self.is_chunked;
        self.has_length |= self.field == Some(Field::ContentLength);
        if self.field == Some(Field::TransferEncoding) {
            self.has_coding = true;
            self.is_foreign |= !value.eq_ignore_ascii_case(b"chunked");
        }
        match self.field.take() {
            _ if self.value.len() > MAX_VALUE => self.is_doubtful = true,
            Some(Field::ContentLength) if is_first => {
                self.length = number(value);
                self.is_enormous = is_enormous(value);
            }
            Some(Field::TransferEncoding) if is_first => {
                self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
            }
            Some(_) => self.is_doubtful = true,
            None => return,
        }
        self.is_doubtful |= self.length.is_none() && !self.is_chunked;
    }

    /// What is wrong with it. There is something if, and only if, [`Framing::body`] has no answer.
    pub(super) fn fault(&self) -> Option<FramingFault> {
        match self {
            _ if self.has_length && self.has_coding => Some(FramingFault::TwoLengths),
            _ if self.is_foreign => Some(FramingFault::ForeignCoding),
            _ if self.is_enormous => Some(FramingFault::Enormous),
            _ if self.is_doubtful => Some(FramingFault::Uncertain),
            _ => None,
        }
    }

    /// The head has ended. `None` if the end of the body is uncertain.
    pub(super) fn body(&self) -> Option<Body> {
        let body = if self.is_chunked { Body::Size(0, false) } else { Body::Rest(self.length.unwrap_or(0)) };
        (!self.is_doubtful).then_some(body)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let are_digits = digits.iter().all(u8::is_ascii_digit) && digits.len() <= usize::from(MAX_DIGITS);
    std::str::from_utf8(digits).ok().filter(|_| are_digits)?.parse().ok()
}

fn is_enormous(digits: &[u8]) -> bool {
    let counted = digits.iter().skip_while(|digit| **digit == b'0').count();
    digits.iter().all(u8::is_ascii_digit) && counted > usize::from(MAX_DIGITS)
}

/// A position in a body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Body {
    /// So many bytes are left.
    Rest(u64),
    /// In the size of a chunk, behind a digit of it or not.
    Size(u64, bool),
    /// Behind the size, with the bytes of its extensions so far.
    Extension(u64, u16),
    SizeLf(u64),
    Data(u64),
    DataLf,
    /// At the beginning of a trailer or of the last line, with the bytes of all trailers so far.
    EndCr(u16),
    Trailer(u16),
    TrailerLf(u16),
    EndLf,
    /// Behind it.
    Ended,
    /// What hyper refuses.
    Lost,
}

impl Body {
    /// Follows the body through some bytes. Returns how many of them belong to it: all, unless it has ended.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while !matches!(self, Body::Rest(0) | Body::Ended) && at < bytes.len() {
            match self {
                Body::Rest(rest) | Body::Data(rest) if *rest > 0 => {
                    let part = usize::try_from(*rest).unwrap_or(usize::MAX).min(bytes.len() - at);
                    *rest -= part as u64;
                    at += part;
                }
                Body::Lost => at = bytes.len(),
                _ => {
                    *self = self.after(bytes[at]);
                    at += 1;
                }
            }
        }
        if *self == Body::Rest(0) {
            *self = Body::Ended;
        }
        at
    }

    /// The position behind a byte of chunk framing.
    fn after(self, byte: u8) -> Body {
        match (self, byte) {
            // Any number of zeros may be before it.
            (Body::Size(size, _), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
                size.map_or(Body::Lost, |size| Body::Size(size, true))
            }
            (Body::Size(size, true) | Body::Extension(size, _), b'\r') => Body::SizeLf(size),
            // hyper takes only these behind a blank, and refuses any other byte.
            (Body::Size(size, true), b';' | b' ' | b'\t') => Body::Extension(size, 0),
            (Body::Extension(size, bytes), _) if byte != b'\n' && bytes < MAX_EXTRA => {
                Body::Extension(size, bytes + 1)
            }
            (Body::SizeLf(0), b'\n') => Body::EndCr(0),
            (Body::SizeLf(size), b'\n') => Body::Data(size),
            (Body::Data(0), b'\r') => Body::DataLf,
            (Body::DataLf, b'\n') => Body::Size(0, false),
            (Body::EndCr(_), b'\r') => Body::EndLf,
            (Body::Trailer(bytes), b'\r') => Body::TrailerLf(bytes),
            // An LF is a byte like any other: hyper's trailers end with CR and LF.
            (Body::EndCr(bytes) | Body::Trailer(bytes), _) if bytes < MAX_EXTRA => Body::Trailer(bytes + 1),
            (Body::TrailerLf(bytes), b'\n') => Body::EndCr(bytes),
            (Body::EndLf, b'\n') => Body::Ended,
            _ => Body::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(lines: &[(Field, &str)]) -> Option<Body> {
        let mut framing = Framing::default();
        for (field, value) in lines {
            framing.begin(Some(*field));
            value.bytes().for_each(|byte| framing.value(&[byte]));
            framing.end();
        }
        framing.body()
    }

    #[test]
    fn only_a_body_without_doubt_is_followed() {
        use Field::{ContentLength as Length, TransferEncoding as Coding};
        assert_eq!(framing(&[]), Some(Body::Rest(0)));
        assert_eq!(framing(&[(Length, " 12 ")]), Some(Body::Rest(12)));
        assert_eq!(framing(&[(Coding, "Chunked")]), Some(Body::Size(0, false)));
        for doubtful in [
            &[(Length, "12"), (Length, "12")][..],
            &[(Length, "12"), (Coding, "chunked")],
            &[(Coding, "chunked"), (Length, "12")],
            &[(Coding, "chunked"), (Coding, "identity")],
            &[(Coding, "gzip, chunked")],
            &[(Coding, ", chunked")],
            &[(Length, "+12")],
            &[(Length, "0x1")],
            &[(Length, "")],
            &[(Length, "12, 12")],
            &[(Length, "1234567890123456")],
            &[(Length, &format!("1{}", " ".repeat(70)))],
        ] {
            assert_eq!(framing(doubtful), None, "{doubtful:?}");
        }
    }

    #[test]
    fn a_length_beyond_all_bodies_is_known_as_one() {
        for (value, enormous) in
            [("18446744073709551615", true), ("0000000000000000000012", false), ("123456789012345x", false)]
        {
            let mut framing = Framing::default();
            framing.begin(Some(Field::ContentLength));
            framing.value(value.as_bytes());
            framing.end();
            assert_eq!(framing.fault() == Some(FramingFault::Enormous), enormous, "{value}");
        }
    }

    #[test]
    fn a_length_beside_a_coding_is_a_fault_in_any_order_and_form() {
        use Field::{ContentLength as Length, TransferEncoding as Coding};
        for (lines, fault) in [
            (&[(Length, "12")][..], None),
            (&[(Coding, "chunked")], None),
            (&[(Length, "12"), (Coding, "chunked")], Some(FramingFault::TwoLengths)),
            (&[(Coding, "Chunked"), (Length, "x")], Some(FramingFault::TwoLengths)),
            (&[(Coding, &"x".repeat(90)), (Length, "12")], Some(FramingFault::TwoLengths)),
            (&[(Coding, "gzip")], Some(FramingFault::ForeignCoding)),
            (&[(Coding, "chunked"), (Coding, "gzip")], Some(FramingFault::ForeignCoding)),
            (&[(Length, "12"), (Length, "12")], Some(FramingFault::Uncertain)),
            (&[(Coding, "chunked"), (Coding, "chunked")], Some(FramingFault::Uncertain)),
            (&[(Length, "1x")], Some(FramingFault::Uncertain)),
        ] {
            let mut framing = Framing::default();
            for (field, value) in lines {
                framing.begin(Some(*field));
                framing.value(value.as_bytes());
                framing.end();
            }
            assert_eq!(framing.fault(), fault, "{lines:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_without_an_end_are_not_followed() {
        let most = usize::from(MAX_EXTRA);
        for (start, count, is_followed) in
            [("3;", most, true), ("3;", most + 1, false), ("0\r\n", most, true), ("0\r\n", most + 1, false)]
        {
            let text = format!("{start}{}", "x".repeat(count));
            let mut place = Body::Size(0, false);
            assert_eq!(place.follow(text.as_bytes()), text.len());
            assert_eq!(place != Body::Lost, is_followed, "{start:?} {count}");
        }
    }

    #[test]
    fn a_body_ends_where_it_says() {
        let chunked = || Body::Size(0, false);
        for (body, text, ends_at) in [
            (Body::Rest(3), "abcGET", Some(3)),
            (Body::Rest(0), "GET", Some(0)),
            (chunked(), "0\r\n\r\nGET", Some(5)),
            (chunked(), "3\r\nabc\r\nA\r\n0123456789\r\n00\r\n\r\nGET", Some(29)),
            (chunked(), "3\r\nab", None),
            (chunked(), "3;x=y\r\nabc\r\n0\r\n\r\nGET", Some(17)),
            (chunked(), "3 \t; x\r\nabc\r\n0;y\r\n\r\nGET", Some(20)),
            (chunked(), "0\r\nTrailer: x\r\n\r\nGET", Some(17)),
            (chunked(), "0\r\na: b\r\nc: d\r\n\r\nGET", Some(17)),
            (chunked(), "3;x\ny\r\nabc\r\n0\r\n\r\nGET", None),
            (chunked(), "3;x\ry\r\nabc\r\n0\r\n\r\nGET", None),
            (chunked(), ";x\r\nabc\r\n0\r\n\r\nGET", None),
            (chunked(), "0\r\na: b\n\r\n\r\nGET", Some(12)),
            (chunked(), "0\r\n\na: b\r\n\r\nGET", Some(12)),
            (chunked(), "0\r\na: b\rc: d\r\n\r\nGET", None),
            (chunked(), "3\nabc\n0\n\nGET", None),
            (chunked(), "\r\n\r\nGET", None),
            (chunked(), "1000000000000000\r\n", None),
            (chunked(), "00000000000000000003\r\nabc\r\n0\r\n\r\nGET", Some(32)),
            (chunked(), "10000000000000000\r\n\r\n0\r\n\r\nGET", None),
        ] {
            for step in 1..=text.len() {
                let (mut at, mut place) = (0, body);
                for part in text.as_bytes().chunks(step) {
                    let own = place.follow(part);
                    at += own;
                    if own < part.len() {
                        break;
                    }
                }
                let ended = (place == Body::Ended).then_some(at);
                assert_eq!(ended, ends_at, "{text:?} in steps of {step}");
            }
        }
    }
}
