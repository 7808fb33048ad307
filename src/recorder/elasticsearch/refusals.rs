//! What to do with a document that a server refuses: a table of the errors in the items of an answer. Pure.
//!
//! The cause may be the document itself, a temporary condition, or something that a person can fix (a privilege, an
//! index, an alias, a pipeline, a limit). The document becomes a dead letter only in the first case. The table applies to
//! the statuses from 400 to 499 except 408, 409 and 429, which mean the same whatever the type of the error is.
//!
//! The comment above each rule names the servers that return this error. This was observed with real servers
//! (`tests/responses`, `tests/real_refusals.rs`) or found in their source.

use super::verdict::Fate;
use memchr::memmem;

/// A group of errors with the same meaning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// `type` of the error.
    kinds: &'static [&'static str],
    /// How its `reason` begins. The rest of a reason may quote the document, so `has` alone would not be reliable.
    begins: &'static str,
    /// What the `reason` must contain as well.
    has: &'static str,
    pub(super) fate: Fate,
    /// What a person can do about it. Empty if there is nothing to do.
    pub(super) remedy: &'static str,
}

/// The first rule that fits applies. An error that fits none is considered a fault of the document.
static RULES: [Rule; 13] = [
    // Elasticsearch 5 to 9 with security, OpenSearch 1 to 3 with its plugin: 401 or 403.
    mendable(
        &["security_exception"],
        "grant this recorder's user or API key write access (Elasticsearch: the privileges create_doc and \
         auto_configure; OpenSearch: write and create_index)",
    ),
    // Elasticsearch 5 to 9, OpenSearch 1 to 3: 404.
    mendable(
        &["index_not_found_exception"],
        "create the index, or allow the server to create it (`action.auto_create_index`, or `allow_auto_create` of its \
         template)",
    ),
    // Elasticsearch 5: 403; Elasticsearch 6 to 9, OpenSearch 1 to 3: 400.
    mendable(&["index_closed_exception"], "open the index (`POST /INDEX/_open`), or write to another one"),
    // Elasticsearch 6.4 to 9, OpenSearch 1 to 3: 400.
    mendable_if(
        &["illegal_argument_exception"],
        "no write index is defined for ",
        "",
        "make one index of the alias its write index (`is_write_index: true`)",
    ),
    // Elasticsearch 5 to 6.3: 400.
    mendable_if(
        &["illegal_argument_exception"],
        "Alias [",
        "] has more than one ind",
        "let the alias name a single index, or write to an index",
    ),
    // Elasticsearch 7 to 9, OpenSearch 1 to 3: 400. The type is the second one if the error comes from another node.
    mendable_if(
        &["validation_exception", "illegal_argument_exception"],
        "Validation Failed: ",
        "maximum ",
        "delete unused indices, give them fewer shards, or raise `cluster.max_shards_per_node`",
    ),
    // Elasticsearch 5 to 9, OpenSearch 1 to 3: 400.
    mendable_if(
        &["illegal_argument_exception"],
        "pipeline with id [",
        "] does not exist",
        "create the ingest pipeline, or correct `pipeline` of this recorder or the index setting that names it",
    ),
    // Elasticsearch 6.5 to 9: 403, from an index that follows one in another cluster.
    mendable_if(
        &["status_exception"],
        "a following engine does not accept operations",
        "",
        "the index follows one in another cluster: write to the leader, or to another index",
    ),
    // Elasticsearch 5 to 9, OpenSearch 1 to 3: 403. (A full disk is 403 in versions 5 and 6 only. Later versions answer 429
    // and lift the block by themselves.) OpenSearch 3 gives the second type if no index may be created in the cluster.
    Rule {
        kinds: &["cluster_block_exception", "index_create_block_exception"],
        begins: "",
        has: "",
        fate: Fate::Retry,
        remedy: "free disk space if the server is low on it, otherwise remove the block (`index.blocks.…`, \
                 `cluster.blocks.…`)",
    },
    // Elasticsearch 5 to 9, OpenSearch 1 to 3: 404, from a shard that is being relocated or recovered.
    Rule {
        kinds: &[
            "shard_not_found_exception",
            "illegal_index_shard_state_exception",
            "index_shard_closed_exception",
            "index_shard_not_started_exception",
            "index_shard_recovering_exception",
            "index_shard_relocated_exception",
            "no_shard_available_action_exception",
        ],
        begins: "",
        has: "",
        fate: Fate::Retry,
        remedy: "",
    },
    // 400, in the order of the types: Elasticsearch 5 to 7 and OpenSearch 1 to 3; Elasticsearch 8 and 9; all versions (too
    // many fields, or a field of another type); all versions.
    of_document(&[
        "mapper_parsing_exception",
        "document_parsing_exception",
        "illegal_argument_exception",
        "strict_dynamic_mapping_exception",
    ]),
    // Elasticsearch 5 to 9, OpenSearch 1 to 3: 400. The index is in the document's action line, which does not change when the
    // configuration is corrected.
    of_document(&["invalid_index_name_exception"]),
    // Elasticsearch 5 and 6: 400 and 404. The type does not change either, except where `mapping_types.rs` corrects it.
    of_document(&["invalid_type_name_exception", "type_missing_exception"]),
];

const fn mendable(kinds: &'static [&'static str], remedy: &'static str) -> Rule {
    mendable_if(kinds, "", "", remedy)
}

const fn mendable_if(
    kinds: &'static [&'static str],
    begins: &'static str,
    has: &'static str,
    remedy: &'static str,
) -> Rule {
    Rule { kinds, begins, has, fate: Fate::Mend, remedy }
}

const fn of_document(kinds: &'static [&'static str]) -> Rule {
    Rule { kinds, begins: "", has: "", fate: Fate::DeadLetter, remedy: "" }
}

impl Rule {
    fn fits(&self, kind: &[u8], reason: &[u8]) -> bool {
        self.kinds.iter().any(|known| known.as_bytes() == kind)
            && reason.starts_with(self.begins.as_bytes())
            && memmem::find(reason, self.has.as_bytes()).is_some()
    }
}

/// The rule for an error.
pub(super) fn rule_of(kind: &[u8], reason: &[u8]) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.fits(kind, reason))
}

/// What becomes of a document for which the server returned this status, and an error that fits `rule`.
pub(super) fn fate_of(status: u64, rule: Option<&Rule>) -> Fate {
    match status {
        200..=299 => Fate::Acked,
        409 => Fate::Duplicate,
        408 | 429 => Fate::Retry,
        400..=499 => rule.map_or(Fate::DeadLetter, |rule| rule.fate),
        // 5xx is temporary, and a status that servers do not use says nothing about the document.
        _ => Fate::Retry,
    }
}

#[cfg(test)]
mod tests;
