//! A scripted upstream as a separate process, for clients in other languages. Prints its address
//! and runs until its stdin closes. The upstream model's name picks the answer: `error-<status>`
//! fails with that status, `truncated` breaks a stream off; all others get a normal answer.

use callgate_tests::{Answer, Script, scripted};
use std::io::Write;
use tokio::io::AsyncReadExt;

const STATUSES: [u16; 8] = [400, 401, 403, 404, 409, 422, 429, 500];

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let script = STATUSES.iter().fold(Script::default(), |script, status| {
        let answer = Answer::error(*status, "scripted_error", "scripted", "refused by the script");
        script.model(&format!("error-{status}"), answer.header("retry-after", "7"))
    });
    let script = script.model("truncated", Answer::default().closing_after(2));
    let upstream = scripted(script).await;
    writeln!(std::io::stdout(), "{}", upstream.addr())?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
