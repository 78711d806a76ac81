//! A host with the tables of 1.2 that loads plugins in the order of its arguments, each `<file>
//! <callback>`, all into one process, and says of each what became of its hooks. What judges the
//! tables is the gateway's own `layout.rs`, which the test puts beside this file.

mod layout;

use std::{error::Error, mem::ManuallyDrop};
use abi_stable::{library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME}, std_types::{RErr, ROk}};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use plugin_api::{FailureKind, abi::{CreateArgs, PluginRootRef, View, serve::LoadedCallback}, testing::{MockHost, TestCall, TestChunk, TestFailure, TestReply, Tester}};

const RTLD_NODELETE: i32 = 0x1000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    for plugin in arguments.chunks(2) {
        let [file, callback] = plugin else { return Err("expected <file> <callback> …".into()) };
        match load(file) {
            Ok(root) => println!("{callback} of {}: {}", root.api(), drive(root, callback)?),
            Err(refusal) => println!("{callback}: refused: {refusal}"),
        }
    }
    Ok(())
}

fn load(file: &str) -> Result<PluginRootRef, Box<dyn Error>> {
    // SAFETY: a plugin that the test built.
    let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) }?;
    let library = ManuallyDrop::new(library);
    // SAFETY: the symbol of every plugin; nothing but its frozen header is read before `upgrade`.
    let header = *unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME) }?;
    let header = header.upgrade().map_err(|error| error.to_string())?;
    layout::check(header.layout().ok_or("no layout")?)?;
    // SAFETY: the layout has just been checked.
    unsafe { header.unchecked_layout::<PluginRootRef>() }.map_err(|error| error.to_string().into())
}

/// Runs every hook once.
fn drive(root: PluginRootRef, callback: &str) -> Result<String, Box<dyn Error>> {
    let tester = Tester::of_loaded(&MockHost::new(), |host| {
        let args = CreateArgs {
            callback: View::of(callback.as_bytes()),
            instance: View::of(b"it"),
            settings: View::of(br#"{"mark": "!"}"#),
            host,
        };
        // SAFETY: the views outlive the call, and the tester keeps the host.
        match unsafe { (root.create())(args) } {
            // SAFETY: of a plugin whose layout was checked, and owned by nobody else.
            ROk(raw) => Ok(unsafe { LoadedCallback::from_raw(raw) }),
            RErr(message) => Err(String::from(message)),
        }
    })?;
    let mut call = TestCall::chat("m").message("user", "hello");
    let (mut chunk, mut reply) = (TestChunk::text("he"), TestReply::text("hello"));
    let mut failure = TestFailure::new(FailureKind::TIMEOUT, 504, "late");
    let outcomes = [
        tester.start(&mut call),
        tester.new_token(&mut call, &mut chunk),
        tester.end(&mut call, &mut reply),
        tester.error(&mut call, &mut failure),
    ];
    let later = tester.later(&mut TestCall::chat("m").message("user", "hello"));
    Ok(format!(
        "{outcomes:?} {} | {} | {} | {} | {} | later {:?}",
        call.body()["messages"][0]["content"],
        call.upstream_header("x-next").unwrap_or("-"),
        chunk.added(),
        reply.response_header("x-end-!").unwrap_or("-"),
        failure.shown().1,
        later.map(|verdict| verdict.0),
    ))
}
