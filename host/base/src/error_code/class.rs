//! The kinds of errors. A code has a class, which says whether a retry may help.

use std::fmt;

/// The classes of errors. Two classes differ in their HTTP status, or in whether a retry may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The request is malformed, or the agent rejected it.
    Invalid,
    /// The request lacks the right token.
    Unauthorized,
    /// The request is not permitted, whoever sends it.
    Forbidden,
    /// The addressed thing does not exist.
    NotFound,
    /// The path exists, but not for this HTTP method.
    WrongMethod,
    /// The request did not arrive in time.
    TooSlow,
    /// The present state does not allow the request.
    Conflict,
    /// Another request was faster.
    Overtaken,
    /// The request has too many bytes.
    TooLarge,
    /// The head of the request has too many bytes or lines.
    HeadTooLarge,
    /// The body has an encoding that the host does not read.
    WrongEncoding,
    /// The request needs a part of HTTP that the host does not have.
    NotImplemented,
    /// The request is well-formed, but its content cannot be used.
    Unusable,
    /// The limit of waiting requests is reached.
    Busy,
    /// The agent or the host failed, which need not happen again.
    Failed,
    /// The agent or the host failed, and would fail again.
    Permanent,
    /// The host, or a service that it needs, is not available now.
    Unavailable,
    /// The work took too long.
    TimedOut,
    /// The disk has no room.
    StorageFull,
    /// The actor has used up its share of the disk.
    OverQuota,
    /// A program cannot start, or a command cannot be carried out, with what it was given. Never an HTTP answer.
    Setup,
    /// A line of the log. Never an HTTP answer.
    Notice,
}

impl Class {
    /// The name, as the book and `daca explain` show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Invalid => "invalid",
            Class::Unauthorized => "unauthorized",
            Class::Forbidden => "forbidden",
            Class::NotFound => "not found",
            Class::WrongMethod => "wrong method",
            Class::TooSlow => "too slow",
            Class::Conflict => "conflict",
            Class::Overtaken => "overtaken",
            Class::TooLarge => "too large",
            Class::HeadTooLarge => "head too large",
            Class::WrongEncoding => "wrong encoding",
            Class::NotImplemented => "not implemented",
            Class::Unusable => "unusable",
            Class::Busy => "busy",
            Class::Failed => "failed",
            Class::Permanent => "permanent",
            Class::Unavailable => "unavailable",
            Class::TimedOut => "timed out",
            Class::StorageFull => "storage full",
            Class::OverQuota => "over quota",
            Class::Setup => "setup",
            Class::Notice => "notice",
        }
    }

    /// Returns `true` if the host declined the request for now: it may succeed as it is, and no attempt at it counts.
    pub fn is_refusal(self) -> bool {
        matches!(self, Class::Busy | Class::Unavailable)
    }

    /// Returns `true` if the same request may succeed later.
    pub fn is_retryable(self) -> bool {
        let may_pass = [Class::Failed, Class::TimedOut, Class::TooSlow, Class::StorageFull, Class::Overtaken];
        self.is_refusal() || may_pass.contains(&self)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
