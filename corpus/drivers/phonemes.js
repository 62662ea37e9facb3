// The phonemes of a text by eSpeak NG, clause by clause, with the punctuation between them as Piper and Kokoro learned it.
const { execFileSync } = require("child_process");

module.exports = function phonemes(text, voice) {
    let out = "";
    for (const [, words, mark] of text.matchAll(/([^,.;:!?]*)([,.;:!?]?)/g)) {
        if (words.trim() !== "") {
            const said = execFileSync(process.env.ROOT + "/usr/bin/espeak-ng", ["-q", "--ipa", "-v", voice, "--", words.trim()]);
            const line = said.toString().replace(/\([a-z-]+\)/g, "").replace(/\s+/g, " ").trim();
            out += (out === "" ? "" : " ") + line;
        }
        out += mark;
    }
    return out.normalize("NFD");
};
