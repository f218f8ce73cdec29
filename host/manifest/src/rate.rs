//! The rate of a route: how many requests of one caller it accepts, and what a caller is.

use std::time::Duration;

use super::names::{self, Mistake};

/// The largest rate; a higher one would be none.
const MAX_REQUESTS: u32 = 1_000_000;
/// The form of a rate.
const FORM: &str = "write a number of requests and a time, such as \"50/s\", \"100/m\" or \"1000/h\"";

/// How many requests of one caller a route accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// The requests in each window.
    pub requests: u32,
    /// A second, a minute or an hour.
    pub window: Duration,
    /// What a caller is.
    pub by: RateBy,
}

/// What distinguishes callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateBy {
    /// The called actor.
    Actor,
    /// The address of the direct peer. Behind a proxy or a sidecar, that is the proxy or the sidecar.
    Peer,
    /// The value of a header.
    Header(http::HeaderName),
}

impl Rate {
    /// The rate of a route, of its two keys.
    pub(super) fn of(rate: Option<&str>, by: Option<&str>) -> Result<Option<Rate>, Mistake> {
        match (rate, by) {
            (None, None) => Ok(None),
            (Some(rate), by) => Rate::parse(rate, by).map(Some),
            (None, Some(_)) => {
                Err(("rate-by without a rate".into(), "add rate = \"50/s\", or remove rate-by".into()))
            }
        }
    }

    fn parse(rate: &str, by: Option<&str>) -> Result<Rate, Mistake> {
        let malformed = || (format!("rate: {rate:?} is not a rate"), FORM.to_owned());
        let (requests, unit) = rate.split_once('/').ok_or_else(malformed)?;
        let requests = requests.parse::<u32>().map_err(|_| malformed())?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return Err(malformed()),
        };
        if !(1..=MAX_REQUESTS).contains(&requests) {
            let message = format!("rate: {requests} requests are out of range");
            return Err((message, format!("write 1 to {MAX_REQUESTS}, or leave the rate out")));
        }
        let by = by.map_or(Ok(RateBy::Actor), RateBy::parse)?;
        Ok(Rate { requests, window: Duration::from_secs(seconds), by })
    }
}

impl RateBy {
    fn parse(text: &str) -> Result<RateBy, Mistake> {
        match text {
            "actor" => return Ok(RateBy::Actor),
            "peer" => return Ok(RateBy::Peer),
            _ => {}
        }
        let help = || "write \"actor\", \"peer\" or \"header:NAME\"".to_owned();
        let Some(name) = text.strip_prefix("header:") else {
            return Err((format!("rate-by: {text:?} is none of the three"), help()));
        };
        names::check("rate-by: the header", name)?;
        let name =
            name.parse().map_err(|_| (format!("rate-by: {name:?} is not the name of a header"), help()))?;
        Ok(RateBy::Header(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_number_and_a_time() {
        let rate = Rate::parse("100/m", Some("header:X-Tenant")).expect("it is a rate");
        let header = http::HeaderName::from_static("x-tenant");
        assert_eq!((rate.requests, rate.window), (100, Duration::from_secs(60)));
        assert_eq!(rate.by, RateBy::Header(header));
        assert_eq!(Rate::parse("1/s", None).map(|rate| rate.by).ok(), Some(RateBy::Actor));
        for wrong in ["", "50", "50/", "0/s", "1000001/s", "-1/s", "5/d", "5 /s", "1e3/s"] {
            assert!(Rate::parse(wrong, None).is_err(), "{wrong:?}");
        }
        for wrong in ["", "caller", "header", "header:", "header:a b", "header:\u{e4}"] {
            assert!(Rate::parse("1/s", Some(wrong)).is_err(), "{wrong:?}");
        }
    }
}
