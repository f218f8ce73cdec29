use super::*;

const SMALL: Bounds = Bounds { lines: 6, bytes: 400, name: 40, value: 30, dropped: 5_000 };

/// Numbers that are the same in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }

    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }
}

/// What passes when the bytes come in these parts, and how many lines were cut.
fn passed<'p>(bounds: Bounds, parts: impl IntoIterator<Item = &'p [u8]>) -> (Vec<u8>, usize) {
    let (mut filter, mut output) = (HeadFilter::new(bounds), Vec::new());
    for part in parts {
        let skipped = filter.skip(part);
        output.extend_from_slice(&part[..skipped]);
        // hyper always reads the head that comes, and a head ends with a line.
        for line in part[skipped..].split_inclusive(|byte| *byte == b'\n') {
            filter.pass(line, Some(filter.heads), &mut output);
        }
    }
    (output, filter.take_cut())
}

/// What makes hyper refuse a head.
fn refused() -> &'static str {
    std::str::from_utf8(REFUSED).expect("it is text")
}

fn whole(bounds: Bounds, text: &str) -> (String, usize) {
    let (mut filter, mut output) = (HeadFilter::new(bounds), Vec::new());
    filter.pass(text.as_bytes(), Some(0), &mut output);
    (String::from_utf8_lossy(&output).into_owned(), filter.take_cut())
}

/// The same, in random parts.
fn in_parts(numbers: &mut Numbers, bounds: Bounds, text: &[u8]) -> (Vec<u8>, usize) {
    let longest = 1 + numbers.below(40);
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (part, more) = rest.split_at((1 + numbers.below(longest)).min(rest.len()));
        parts.push(part);
        rest = more;
    }
    passed(bounds, parts)
}

/// A request that hyper takes, and what is to pass of it.
fn request(numbers: &mut Numbers) -> (String, String) {
    let start = "POST /in HTTP/1.1\r\n";
    let body = "a: b\r\n\r\nGET / HTTP/1.1\r\n".repeat(numbers.below(3));
    let (extension, trailer) =
        (numbers.one_of(&["", ";a=b", " ; c"]), numbers.one_of(&["", "x: y\r\n", "a: b\r\nhost: c\r\n"]));
    let chunked = || format!("{:x}{extension}\r\n{body}\r\n0\r\n{trailer}\r\n", body.len());
    let (framing, body) = match numbers.below(3) {
        0 if !body.is_empty() => ("Transfer-Encoding: chunked\r\n".to_owned(), chunked()),
        _ => (format!("content-LENGTH:{}\r\n", body.len()), body.clone()),
    };
    let framing_at = numbers.below(20);
    let (mut input, mut output) = (start.to_owned(), start.to_owned());
    let (mut lines, mut has_topic) = (0, false);
    for line in 0..framing_at + numbers.below(8) + 1 {
        let topic = "__topic: t\r\n".to_owned();
        let (text, passes) = match numbers.below(5) {
            _ if line == framing_at => (framing.clone(), true),
            0 => ("Host: a\r\n".to_owned(), true),
            1 => (topic, lines < SMALL.lines || !std::mem::replace(&mut has_topic, true)),
            2 => (format!("{}: 1\r\n", "n".repeat(41)), false),
            _ => ("x: a: b\r\n".to_owned(), lines < SMALL.lines),
        };
        input.push_str(&text);
        if passes {
            output.push_str(&text);
            lines += 1;
        }
    }
    for text in [&mut input, &mut output] {
        text.push_str("\r\n");
        text.push_str(&body);
    }
    (input, output)
}

#[test]
fn long_heads_lose_lines_and_nothing_else() {
    let mut numbers = Numbers(7);
    for _ in 0..3_000 {
        let requests = (0..1 + numbers.below(4)).map(|_| request(&mut numbers)).collect::<Vec<_>>();
        let input = requests.iter().map(|(input, _)| &**input).collect::<String>();
        let expected = requests.iter().map(|(_, output)| &**output).collect::<String>();
        let (output, cut) = in_parts(&mut numbers, SMALL, input.as_bytes());
        assert_eq!(String::from_utf8_lossy(&output), expected, "of {input:?}");
        assert_eq!(cut > 0, expected != input);
        let roomy = Bounds { lines: 40, bytes: 10_000, name: 100, ..SMALL };
        assert_eq!(in_parts(&mut numbers, roomy, input.as_bytes()), (input.into_bytes(), 0));
    }
}

/// Whatever comes, the parts in which it comes make no difference, and what passes is what came, without some lines that tell
/// nothing of the body, or with a NUL that hyper refuses.
#[test]
fn anything_odd_is_refused_or_passes_as_it_is() {
    const PIECES: [&str; 16] = [
        "\r\n",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        ":",
        "a: b\r\n",
        "a: b\r\n",
        "b: c\r\n",
        "x",
        "\0",
        "GET / HTTP/1.1\r\n",
        "content-length: 5\r\n",
        "transfer-encoding: chunked\r\n",
        "Content-Length : 5\r\n",
    ];
    let bounds = Bounds { lines: 2, bytes: 60, name: 18, value: 10, dropped: 500 };
    let mut numbers = Numbers(11);
    for _ in 0..30_000 {
        let pieces = (0..numbers.below(25)).map(|_| numbers.one_of(&PIECES)).collect::<String>();
        let input = format!("GET / HTTP/1.1\r\n{pieces}");
        let (output, cut) = in_parts(&mut numbers, bounds, input.as_bytes());
        let one_by_one = passed(bounds, input.as_bytes().chunks(1));
        assert_eq!((&output, cut), (&one_by_one.0, one_by_one.1), "{input:?}");
        let count = |text: &[u8], line: &str| {
            text.split(|byte| *byte == b'\n').filter(|one| *one == line.as_bytes()).count()
        };
        let nuls = |text: &[u8]| text.iter().filter(|byte| **byte == 0).count();
        let is_refused = nuls(&output) > nuls(input.as_bytes());
        let is_whole = input.as_bytes().starts_with(&output);
        assert!(cut > 0 || is_refused || is_whole, "{input:?} {output:?}");
        for line in ["content-length: 5\r", "transfer-encoding: chunked\r", "Content-Length : 5\r"] {
            let all = count(&output, line) == count(input.as_bytes(), line);
            assert!(all || is_refused, "{input:?} {:?}", String::from_utf8_lossy(&output));
        }
    }
}

#[test]
fn what_would_change_the_meaning_of_a_head_is_never_dropped() {
    let start = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(SMALL.lines));
    let pass = |more: &str| whole(SMALL, &format!("{start}{more}"));
    let refused = refused();
    // All lines that tell the length pass, so that the contradiction is seen. hyper would not mind some of them.
    for lengths in [
        "content-length: 1\r\nContent-Length: 2\r\n",
        "content-length: 1\r\nContent-Length: 1\r\n",
        "transfer-encoding: , chunked\r\n",
        "content-length: 1\r\ntransfer-encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
    ] {
        assert_eq!(pass(&format!("{lengths}\r\n")), (format!("{start}{lengths}{refused}\r\n"), 0));
    }
    // A line that begins with any of these is none of a head.
    for odd in [
        " fold\r\n\r\n",
        "name : x\r\n\r\n",
        "no colon\r\n\r\n",
        ": x\r\n\r\n",
        "\n",
        "(: x\r\n\r\n",
        "\r: x\r\n",
        "\rx",
    ] {
        assert_eq!(pass(odd), (format!("{start}{refused}{odd}"), 0), "{odd:?}");
    }
    for (half_dropped, rest) in [
        ("x: y\nContent-Length: 5\r\n\r\n", "\nContent-Length: 5\r\n\r\n"),
        ("x: y\rz\r\n\r\n", "z\r\n\r\n"),
        ("x: \0\r\n\r\n", "\0\r\n\r\n"),
    ] {
        assert_eq!(pass(half_dropped), (format!("{start}{refused}{rest}"), 1), "{half_dropped:?}");
    }
    // A head that hyper does not read is none.
    let (mut filter, mut output) = (HeadFilter::new(SMALL), Vec::new());
    let long = format!("{start}a: b\r\n\r\n");
    filter.pass(long.as_bytes(), Some(1), &mut output);
    filter.pass(long.as_bytes(), None, &mut output);
    assert_eq!((output, filter.take_cut()), (long.repeat(2).into_bytes(), 0));
}

#[test]
fn the_first_line_of_http_2_is_refused_and_no_other() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let after = "POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx";
    for before in ["", "\r\n", after] {
        for size in 1..preface.len() {
            let (mut filter, mut output) = (HeadFilter::new(SMALL), Vec::new());
            for part in format!("{before}{preface}").as_bytes().chunks(size) {
                filter.pass(part, Some(filter.heads), &mut output);
            }
            let expected = format!("{before}PRI * HTTP/2.0{}\r\n\r\nSM\r\n\r\n", refused());
            assert_eq!(String::from_utf8_lossy(&output), expected, "in parts of {size}");
            assert_eq!(filter.fault(), Some(FramingFault::Http2));
        }
    }
    for other in ["PRI * HTTP/1.1\r\n", "PRI  * HTTP/2.0\r\n", "GET PRI * HTTP/2.0\r\n"] {
        let in_bytes = passed(SMALL, other.as_bytes().chunks(1));
        assert_eq!(in_bytes, (other.as_bytes().to_vec(), 0), "{other:?}");
    }
}

#[test]
fn a_line_that_is_too_long_is_shortened() {
    let long = "x".repeat(2 * SMALL.bytes);
    let head = |line: &str, more: &str| format!("GET / HTTP/1.1\r\n{line}\r\n{more}\r\n");
    let (output, cut) =
        whole(SMALL, &head(&format!("a: {long}"), "b: c\r\n__offset: 7\r\ncontent-length: 0\r\n"));
    let room = SMALL.bytes - "GET / HTTP/1.1\r\na:\r\n".len();
    let start = format!("GET / HTTP/1.1\r\na: {}", "x".repeat(room - 1));
    assert_eq!((output, cut), (format!("{start}\r\n__offset: 7\r\ncontent-length: 0\r\n\r\n"), 2));
    // One that passes for its name has its own room, and a long name goes as a whole.
    let (output, cut) = whole(SMALL, &head(&format!("a: {long}\r\n__key:{long}"), &format!("{long}: c\r\n")));
    assert_eq!((output, cut), (format!("{start}\r\n__key:{}\r\n\r\n", "x".repeat(SMALL.value)), 3));
    // What decides about the body is never touched, and here it is no length.
    let long = head(&format!("content-length: {long}"), "b: c\r\n");
    let kept = long.replace("b: c\r\n", refused());
    assert_eq!(whole(SMALL, &long), (kept, 1));
    let endless = head(&format!("a: {}", "x".repeat(2 * SMALL.dropped)), "");
    assert!(whole(SMALL, &endless).0.contains('\0'), "hyper refuses it");
}

/// Whatever it was that hyper would take, and behind which nothing was looked at any more.
#[test]
fn no_head_leads_past_the_filter() {
    let bad = "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let good = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (before, fault) in [
        (String::new(), FramingFault::TwoLengths),
        ("\r\n".into(), FramingFault::TwoLengths),
        ("\n".repeat(MAX_EMPTY_LINES), FramingFault::TwoLengths),
        (format!("{good}\r\n"), FramingFault::TwoLengths),
        (format!("{chunked}0000000000000000000\r\na: b\nc: d\r\n\r\n"), FramingFault::TwoLengths),
        ("\n".repeat(MAX_EMPTY_LINES + 1), FramingFault::BareLf),
        (good.replacen("\r\n", "\n", 1), FramingFault::BareLf),
        (good.replace("a\r\n", "a\n"), FramingFault::BareLf),
        (good.replace("\r\n\r\n", "\r\n\n"), FramingFault::BareLf),
        (good.replace("host: a", "Content-Length: 0\r\nContent-Length: 0"), FramingFault::Uncertain),
        (good.replace("host: a", "Transfer-Encoding: , chunked"), FramingFault::ForeignCoding),
    ] {
        let input = format!("{before}{bad}");
        for size in 1..input.len() {
            let (mut filter, mut output) = (HeadFilter::new(SMALL), Vec::new());
            for part in input.as_bytes().chunks(size) {
                filter.pass(part, Some(filter.heads), &mut output);
            }
            assert!(output.contains(&0), "{input:?} in parts of {size}");
            assert_eq!(filter.fault(), Some(fault), "{input:?} in parts of {size}");
        }
    }
    // One that hyper does not read yet is not shortened.
    let long = format!("GET / HTTP/1.1\r\n{}: x\r\n\r\n", "n".repeat(SMALL.name + 1));
    let (mut filter, mut output) = (HeadFilter::new(SMALL), Vec::new());
    filter.pass(long.as_bytes(), None, &mut output);
    assert!(output.contains(&0), "{output:?}");
}
