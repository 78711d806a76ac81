//! Compares the header with the types: a C program prints the sizes and offsets that its compiler
//! finds.

use super::{CCreateArgs, CHost, CPlugin};
use crate::abi::{
    ApiVersion, AuthHandle, AuthVt, CallHandle, CallVt, ChunkHandle, ChunkVt, FailureHandle,
    FailureVt, ModelListHandle, ModelListVt, RawAdmission, RawRejection, RawReply, RawRoute,
    RawVisitor, ReplyHandle, ReplyVt, View, ViewPair,
};
use abi_stable::prefix_type::{PrefixTypeTrait, WithMetadata_};
use std::{
    fmt::Write as _,
    fs,
    mem::offset_of,
    path::Path,
    process::{Command, Output},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/include");

/// A C expression and its expected value.
type Fact = (String, usize);

/// The size of a struct, and the offset of each member.
macro_rules! plain {
    ($facts:ident: $($c:ident = $rust:ident { $($member:ident),* $(,)? })*) => {$(
        $facts.push((concat!("sizeof(", stringify!($c), ")").to_owned(), size_of::<$rust>()));
        $($facts.push((
            concat!("offsetof(", stringify!($c), ", ", stringify!($member), ")").to_owned(),
            offset_of!($rust, $member),
        ));)*
    )*};
}

/// Like [`plain!`], for a table, whose functions follow the fields that abi_stable adds.
macro_rules! table {
    ($facts:ident: $($c:ident = $rust:ident { $($member:ident),* $(,)? })*) => {$(
        let before = WithMetadata_::<$rust, <$rust as PrefixTypeTrait>::PrefixFields>::__VALUE_OFFSET;
        $facts.push((format!("sizeof({})", stringify!($c)), before + size_of::<$rust>()));
        $($facts.push((
            format!("offsetof({}, {})", stringify!($c), stringify!($member)),
            before + offset_of!($rust, $member),
        ));)*
    )*};
}

fn facts() -> Vec<Fact> {
    let mut facts = Vec::new();
    plain! { facts:
        callgate_view = View { ptr, len }
        callgate_pair = ViewPair { name, value }
        callgate_version = ApiVersion { major, minor }
        callgate_admission = RawAdmission { ticket, wait_ns }
        callgate_host = CHost {
            size, api, ctx, log_enabled, log, monotonic_ns, unix_ms, admit, release, take, add,
            add_for, remove, list, has_model,
        }
        callgate_visitor = RawVisitor { visit, arg }
        callgate_route = RawRoute { provider, model, api_base, api_key }
        callgate_rejection = RawRejection {
            status, retry_after_ms, code, message, headers, headers_len,
        }
        callgate_answer = RawReply { is_json, content }
        callgate_call = CallHandle { ctx, vt }
        callgate_chunk = ChunkHandle { ctx, vt }
        callgate_reply = ReplyHandle { ctx, vt }
        callgate_failure = FailureHandle { ctx, vt }
        callgate_create_args = CCreateArgs { size, instance, settings, host, refusal, refuse }
        callgate_plugin = CPlugin {
            api, size, manifest, create, destroy, shutdown, on_llm_start, on_llm_new_token,
            on_llm_end, on_llm_error, on_auth, on_list_models,
        }
        callgate_auth = AuthHandle { ctx, vt }
        callgate_model_list = ModelListHandle { ctx, vt }
    }
    table! { facts:
        callgate_auth_vt = AuthVt { input, input_count, input_at, caller, refuse, fault }
        callgate_model_list_vt = ModelListVt { count, at, hide, add, caller, refuse, fault }
        callgate_call_vt = CallVt {
            id, endpoint, stream, requested_model, model, set_model, provider, upstream_model,
            api_base, set_route, set_upstream_header, remove_upstream_header, header, header_count,
            header_at, param, set_param, remove_param, message_count, message_role, message_text,
            message_json, set_message_text, set_message_json, insert_message, remove_message, body,
            replace_body, key_id, metadata, set_metadata, local, set_local, remaining_ms,
            cancelled, reject, reply, fault, set_reply_header, reply_stream,
        }
        callgate_chunk_vt = ChunkVt {
            index, json, text, set_json, set_text, drop_chunk, choice, emit_text, emit_json,
            hold_back, held, is_last,
        }
        callgate_reply_vt = ReplyVt {
            status, json, set_json, text, set_header, finish_reason, prompt_tokens,
            completion_tokens, total_tokens, duration_ns, upstream_duration_ns, first_token_ns,
            from_callback, completion,
        }
        callgate_failure_vt = FailureVt {
            kind, status, code, message, set_status, set_message, sent, text, prompt_tokens,
            completion_tokens, total_tokens, duration_ns, upstream_duration_ns, first_token_ns,
            callback, error_type, set_type, set_code, set_header,
        }
    }
    facts.push(("CALLGATE_API_MAJOR".to_owned(), ApiVersion::CURRENT.major.into()));
    facts.push(("CALLGATE_API_MINOR".to_owned(), ApiVersion::CURRENT.minor.into()));
    facts
}

/// Returns a C program that prints the value of each expression on a line.
fn program(facts: &[Fact]) -> String {
    let mut text =
        "#include <stdio.h>\n#include \"callgate_plugin.h\"\nint main(void) {\n".to_owned();
    for (expression, _) in facts {
        writeln!(text, "  printf(\"%zu\\n\", (size_t)({expression}));").unwrap();
    }
    text + "  return 0;\n}\n"
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn check(folder: &Path, compiler: &str, language: &str, standard: &str) {
    let facts = facts();
    let (source, binary) = (folder.join("layout.c"), folder.join(format!("layout-{language}")));
    fs::write(&source, program(&facts)).unwrap();
    let standard = format!("-std={standard}");
    let mut compile = Command::new(compiler);
    compile.args(["-x", language, &standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"]);
    ran(compile.arg(FOLDER).arg("-o").args([&binary, &source]));
    let printed = ran(&mut Command::new(binary)).stdout;
    let printed = String::from_utf8(printed).unwrap();
    let found: Vec<Fact> = facts
        .iter()
        .zip(printed.lines())
        .map(|((expression, _), value)| (expression.clone(), value.parse().unwrap()))
        .collect();
    assert_eq!(found, facts, "{language}");
}

#[test]
fn the_header_lays_out_what_the_types_do() {
    let folder = std::env::temp_dir().join(format!("callgate-layout-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    check(&folder, "cc", "c", "c11");
    // Not every machine with a C compiler has one for C++.
    if Command::new("c++").arg("--version").output().is_ok() {
        check(&folder, "c++", "c++", "c++11");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// A handle's `vt` must point to the table of the header: `present` first, then the functions.
#[cfg(feature = "testing")]
#[test]
fn a_table_says_which_functions_it_has() {
    let mut call = crate::testing::TestCall::chat("m");
    let handle = crate::abi::serve::lend_call(&mut call);
    let table = handle.vt.0.to_raw_ptr().cast::<u8>();
    let functions = size_of::<CallVt>() / size_of::<usize>();
    // SAFETY: a table begins with eight bytes that say which functions are present.
    assert_eq!(unsafe { table.cast::<u64>().read() }, (1 << functions) - 1);
    let before = WithMetadata_::<CallVt, <CallVt as PrefixTypeTrait>::PrefixFields>::__VALUE_OFFSET;
    // SAFETY: the first function follows them.
    let first = unsafe { table.add(before).cast::<usize>().read() };
    assert_eq!(first, handle.vt.id() as usize);
}
