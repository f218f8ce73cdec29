//! Names in the form in which the sidecar passes them on unchanged.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything that is not `unreserved` (RFC 3986).
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The id of an actor, or the name of a method, reminder or timer, in the form for the sidecar: unchanged, unless it
/// contains something that would end or change a segment of a path.
///
/// The sidecar puts names into the path of its callback unencoded (`constructRequest` in
/// `pkg/channel/http/http_channel.go`): the id `%41` would arrive as `A`, and the method `remind/x` as the firing of a
/// reminder. Go keeps a path that is completely encoded, and encodes any other again.
pub(super) fn segment(name: &str) -> String {
    if name.contains(['%', '/', '\\', '?', '#']) {
        utf8_percent_encode(name, NOT_UNRESERVED).to_string()
    } else {
        name.to_owned()
    }
}

/// The maximum length of a part of a job's name, without what is left out of it.
const MAX_JOB_NAME: usize = 253;

/// Returns `true` if the scheduler accepts the id of an actor with a reminder: without some characters it must be a name of
/// the DNS (`JobName` in `internal/api/validator/validator.go` of go-etcd-cron, `IsDNS1123Subdomain` in
/// `pkg/util/validation/validation.go` of k8s.io/apimachinery).
pub(super) fn is_job_name(id: &str) -> bool {
    let name = id.replace(['_', ':', '-', ' '], "");
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric());
    name.len() <= MAX_JOB_NAME && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_that_the_scheduler_accepts_are_known() {
        for id in ["user1", "A b_c:d.e-f", "-a", "a:", "1.2", &"a-".repeat(253)] {
            assert!(super::is_job_name(id), "{id}");
        }
        for id in ["ada@example.com", "Grüße", "a|b", "50%", "-", "a..b", ".a", "a.", &"a".repeat(254)] {
            assert!(!super::is_job_name(id), "{id}");
        }
    }

    /// The sidecar puts names into a path: none may leave its segment, and none may become another.
    #[test]
    fn names_keep_to_their_segment() {
        for (name, segment) in [
            ("user1", "user1"),
            ("a.b_c~d-e", "a.b_c~d-e"),
            ("a:b@c,d", "a:b@c,d"),
            ("my user", "my user"),
            ("100%", "100%25"),
            ("%41", "%2541"),
            ("ü|+", "ü|+"),
            ("100% ü", "100%25%20%C3%BC"),
            ("remind/x y", "remind%2Fx%20y"),
            ("x?y#z", "x%3Fy%23z"),
        ] {
            assert_eq!(super::segment(name), segment, "{name}");
        }
    }
}
