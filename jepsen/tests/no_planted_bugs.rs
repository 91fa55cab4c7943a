//! The program that is tested here, and shipped, cannot have a bug planted in it: it does not know the variable that
//! would name one (`make planted` builds another).

use partita_jepsen::HarnessError;
use partita_jepsen::node::binary;

fn contains(program: &[u8], text: &str) -> bool {
    program.windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

#[test]
fn no_bug_can_be_planted_in_the_program_that_is_shipped() -> Result<(), HarnessError> {
    let program = std::fs::read(binary()?).expect("a program can be read");
    assert!(contains(&program, "raft-listen"), "its own words are found in it");
    assert!(!contains(&program, "PARTITA_PLANTED_BUG"), "it was built with the feature planted-bugs");
    assert!(!contains(&program, "acknowledge-before-sync"), "it was built with the feature planted-bugs");
    Ok(())
}
