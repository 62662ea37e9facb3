/* test_protocol.c: every format of lists on a small made-up one, and what is no line of it. */
#include "data/manifest.h"
#include "data/protocol_internal.h"
#include "support/scratch.h"

static const char *list(const char *name) {
    static char whole[1100];
    snprintf(whole, sizeof whole, "tests/data/protocols/%.1000s", name);
    return support_path(whole);
}

static protocol_options format(const char *name) { return (protocol_options){.format = name}; }

static manifest *read_list(const char *file, const protocol_options *how) {
    manifest *m;
    support_ok(manifest_new(ctx, &m, &err), &err);
    support_ok(manifest_add_list(m, file, "", how, NULL, 0, &err), &err);
    return m;
}

static const char *cell(const manifest *m, size_t row, const char *column) {
    size_t index = manifest_column(m, column);
    if (index == SIZE_MAX) {
        fail_msg("no column %s", column);
    }
    return manifest_cell(m, row, index);
}

/* what = "column=value column=value ..."; '_' stands for a blank. */
static void row_is(const manifest *m, size_t row, const char *what) {
    char text[1024];
    snprintf(text, sizeof text, "%s", what);
    for (char *save, *part = strtok_r(text, " ", &save); part; part = strtok_r(NULL, " ", &save)) {
        char *value = strchr(part, '=');
        assert_non_null(value);
        *value++ = '\0';
        if (strcmp(cell(m, row, part), value) != 0) {
            fail_msg("row %zu: %s is \"%s\", not \"%s\"", row, part, cell(m, row, part), value);
        }
    }
}

typedef struct broken {
    const char *format, *text, *says;
    spoor_status status;
} broken;

static void all_refused(const broken *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        manifest *m;
        support_ok(manifest_new(ctx, &m, &err), &err);
        write_text(cases[i].text);
        const protocol_options how = format(cases[i].format);
        spoor_status status = manifest_add_list(m, path, "", &how, NULL, 0, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].says)) {
            fail_msg("case %zu (%s): status %d, \"%s\" does not say \"%s\"", i, cases[i].format, (int)status,
                     status == SPOOR_OK ? "" : err.message, cases[i].says);
        }
        assert_int_equal(manifest_rows(m), 0);
        assert_int_equal(manifest_columns(m), 0);
        manifest_free(m);
    }
}
#define REFUSED(cases) all_refused(cases, sizeof(cases) / sizeof *(cases))

static void mlaad(void **state) {
    (void)state;
    protocol_options how = format("mlaad");
    manifest *m = read_list(list("mlaad_train.csv"), &how);
    assert_int_equal(manifest_rows(m), 4);
    row_is(m, 0, "path=fake/en/suno_bark/a_01.wav label=spoof source=suno/bark language=en split=train");
    row_is(m, 2, "path=fake/de/tts_models_de_thorsten_vits/b_01.wav source=tts_models/de/thorsten/vits language=de");
    row_is(m, 3, "path=fake/de/tts_models_de_thorsten_vits/b_02.wav");
    assert_int_equal(manifest_line(m, 3), 5);
    manifest_free(m);
    how.split = "mine"; /* stands above the name of the file */
    how.files = "wav/{language}-{id}";
    m = read_list(list("mlaad_train.csv"), &how);
    row_is(m, 0, "split=mine path=wav/en-fake/en/suno_bark/a_01.wav");
    manifest_free(m);
    static const broken CASES[] = {
        {"mlaad", "", "is empty", SPOOR_ERR_INPUT},
        {"mlaad", "path,model\na,b\n", "names the column model_name", SPOOR_ERR_INPUT},
        {"mlaad", "path,model_name\na.wav\n", "line 2: 1 fields", SPOOR_ERR_INPUT},
        {"mlaad", "path,model_name\na.wav,m,x\n", "line 2: 3 fields", SPOOR_ERR_INPUT},
        {"mlaad", "path,model_name\na.wav,\n", "line 2: the model name is empty", SPOOR_ERR_INPUT},
        {"mlaad", "path,model_name\n./,m\n", "line 2: the path is empty", SPOOR_ERR_INPUT},
        {"mlaad",
         "\xfd"
         "7zXZ",
         "unpack it first: xz -dk", SPOOR_ERR_INPUT},
        {"mlaad", "\x1f\x8b\x08", "unpack it first: gzip -dk", SPOOR_ERR_INPUT},
        {"mlaad", "PAR1", "a Parquet table", SPOOR_ERR_INPUT},
        {"mlaat", "path,model_name\n", "did you mean \"mlaad\"", SPOOR_ERR_USAGE},
    };
    REFUSED(CASES);
}

static void mlaad_meta(void **state) {
    (void)state;
    const protocol_options how = format("mlaad-meta");
    manifest *m;
    support_ok(manifest_new(ctx, &m, &err), &err);
    support_ok(manifest_add_list(m, list("fake/zh-cn/OpenVoiceV2/meta.csv"), NULL, &how, NULL, 0, &err), &err);
    assert_int_equal(manifest_rows(m), 2);
    row_is(m, 0,
           "path=fake/zh-cn/OpenVoiceV2/x_1.wav label=spoof source=OpenVoiceV2 language=zh-cn family=VITS seconds=3.2 "
           "original=en_US/x_1.wav training=internal");
    assert_string_equal(cell(m, 0, "text"), "\"He said, \"go\", and went");
    row_is(m, 1, "path=fake/zh/Other/x_2.wav"); /* not this list's folder: left alone */
    assert_string_equal(manifest_path(m, 0), list("fake/zh-cn/OpenVoiceV2/x_1.wav"));
    manifest_free(m);
    static const broken CASES[] = {
        {"mlaad-meta", "path|model_name\na|b\n", "names the column language", SPOOR_ERR_INPUT},
        {"mlaad-meta", "path,model_name\na,b\n", "names the column path", SPOOR_ERR_INPUT},
    };
    REFUSED(CASES);
}

static void csv_and_tsv(void **state) {
    (void)state;
    protocol_options how = format("tsv");
    how.rename[0] = (protocol_rename){"path", "wav_path"};
    how.rename[1] = (protocol_rename){"source", "system"};
    how.n_renames = 2;
    write_text("utt_id\twav_path\tsystem\tsplit\nu1\ta.wav\tx\tdev\n");
    manifest *m = read_list(path, &how);
    row_is(m, 0, "path=a.wav source=x split=dev utt_id=u1");
    manifest_free(m);
    write_text("path\twav_path\tsystem\nold\ta.wav\tx\n"); /* what is displaced keeps a name */
    m = read_list(path, &how);
    row_is(m, 0, "path=a.wav source=x path.listed=old");
    manifest_free(m);
    how.n_renames = 1;
    how.format = NULL;
    manifest *none;
    support_ok(manifest_new(ctx, &none, &err), &err);
    write_text("path,b\nx,y\n");
    refused(manifest_add_list(none, path, "", &how, NULL, 0, &err), SPOOR_ERR_INPUT, "no column wav_path");
    how = format("csv");
    how.files = "{nothing}.wav";
    refused(manifest_add_list(none, path, "", &how, NULL, 0, &err), SPOOR_ERR_USAGE, "{nothing}");
    how.files = "{b}/{id}.wav{";
    support_ok(manifest_add_list(none, path, "", &how, NULL, 0, &err), &err);
    row_is(none, 0, "path=y/x.wav{");
    manifest_free(none);
}

static void spoofing_challenges(void **state) {
    (void)state;
    protocol_options how = format("asvspoof2019");
    manifest *m = read_list(list("ASVspoof2019.LA.cm.train.trn.txt"), &how);
    assert_int_equal(manifest_rows(m), 2);
    row_is(m, 0,
           "path=ASVspoof2019_LA_train/flac/LA_T_1138215.flac id=LA_T_1138215 label=bonafide source=bonafide "
           "speaker=LA_0079 split=train");
    row_is(m, 1, "id=LA_T_7893020 label=spoof source=A05 speaker=LA_0087");
    manifest_free(m);
    how.files = "{id}.wav";
    m = read_list(list("ASVspoof2019.LA.cm.train.trn.txt"), &how);
    row_is(m, 0, "path=LA_T_1138215.wav");
    manifest_free(m);
    how = format("asvspoof2021");
    m = read_list(list("asvspoof2021_la.txt"), &how);
    row_is(
        m, 0,
        "path=ASVspoof2021_LA_eval/flac/LA_E_9332881.flac label=spoof source=A07 codec=alaw channel=ita_tx trim=notrim "
        "subset=eval split=eval corpus= vocoder=");
    row_is(m, 1, "label=bonafide source=bonafide codec= channel= subset=progress");
    manifest_free(m);
    m = read_list(list("asvspoof2021_df.txt"), &how);
    assert_int_equal(manifest_rows(m), 3);
    row_is(m, 0,
           "path=ASVspoof2021_DF_eval/flac/DF_E_2000011.flac codec= corpus=asvspoof source=A14 "
           "vocoder=traditional_vocoder");
    row_is(m, 1,
           "speaker=TEF2 codec=mp3m4a corpus=vcc2020 source=Task1-team20 vocoder=neural_vocoder_nonautoregressive");
    row_is(m, 2, "label=bonafide source=bonafide vocoder=");
    manifest_free(m);
    how = format("asvspoof5");
    m = read_list(list("ASVspoof5.dev.track_1.tsv"), &how);
    row_is(m, 0,
           "path=flac_D/D_0000000001.flac speaker=D_0062 gender=F codec= family=AC1 source=A11 label=spoof split=dev");
    row_is(m, 1, "path=flac_T/T_0000000002.flac codec=C05 source=bonafide label=bonafide family=");
    row_is(m, 2, "path=flac_E_eval/E_0000000003.flac");
    manifest_free(m);
    how = format("add2023");
    m = read_list(list("add2023.txt"), &how);
    row_is(m, 0, "path=ADD2023_T3_E_00000000.wav label=spoof source=3");
    row_is(m, 1, "label=bonafide source=bonafide");
    row_is(m, 2, "label=spoof source=unknown");
    manifest_free(m);
    how = format("st-codecfake");
    m = read_list(list("st_codecfake_train.txt"), &how);
    row_is(m, 0, "path=encodec_p230_135.wav label=spoof source=4 split=train");
    row_is(m, 1, "label=bonafide source=bonafide");
    row_is(m, 2, "source=11");
    manifest_free(m);
    how = format("tada");
    m = read_list(list("tada_eval.txt"), &how);
    row_is(m, 0, "path=LA_D_1000265 speaker=LA_0075 source=A01 label=spoof split=eval");
    row_is(m, 1, "path=multi_speaker/fastpitch/speaker_1/fadg0_sa1.wav source=multi_speaker_fastpitch");
    row_is(m, 2, "label=bonafide source=bonafide");
    row_is(m, 3, "label= source= speaker=");
    manifest_free(m);
    static const broken CASES[] = {
        {"asvspoof2019", "", "is empty", SPOOR_ERR_INPUT},
        {"asvspoof2019", "LA_0079 LA_T_1 - bonafide\n", "line 1: 4 fields", SPOOR_ERR_INPUT},
        {"asvspoof2019", "s u - - bonafide\n\ns u - A01 spoofed?\n", "line 3: the label \"spoofed?\"", SPOOR_ERR_INPUT},
        {"asvspoof2021", "a b c d e spoof g h i\n", "line 1: 9 fields", SPOOR_ERR_INPUT},
        {"asvspoof2021", "a b c d e f g h\n", "the label \"f\"", SPOOR_ERR_INPUT},
        {"asvspoof5", "D_1 D_2 F - - - AC1 A11 spoof\n", "9 fields", SPOOR_ERR_INPUT},
        {"asvspoof5", "D_1 D_2 F - - - AC1 A11 - -\n", "the label \"-\"", SPOOR_ERR_INPUT},
        {"add2023", "a.wav 8\n", "the class \"8\"", SPOOR_ERR_INPUT},
        {"add2023", "a.wav 11\n", "the class \"11\"", SPOOR_ERR_INPUT},
        {"add2023", "a.wav\n", "1 fields", SPOOR_ERR_INPUT},
        {"st-codecfake", "a.wav fake 0\n", "exclude each other", SPOOR_ERR_INPUT},
        {"st-codecfake", "a.wav real 3\n", "exclude each other", SPOOR_ERR_INPUT},
        {"st-codecfake", "a.wav fake 12\n", "none of 0 to 11", SPOOR_ERR_INPUT},
        {"st-codecfake", "a.wav fake 1x\n", "none of 0 to 11", SPOOR_ERR_INPUT},
        {"st-codecfake", "a.wav maybe 1\n", "the label \"maybe\"", SPOOR_ERR_INPUT},
        {"tada", "a|b\n", "2 fields", SPOOR_ERR_INPUT},
        {"tada", "|b|c\n", "line 1: the path is empty", SPOOR_ERR_INPUT},
    };
    REFUSED(CASES);
}

static void comparisons(void **state) {
    (void)state;
    protocol_options how = format("stopa");
    manifest *m = read_list(list("AA01-co-100_trials.txt"), &how);
    assert_int_equal(manifest_rows(m), 3);
    row_is(m, 0, "path=LA_1.flac source=AA01 claim=AA01 same=1 label=spoof");
    row_is(m, 1, "path=LA_2.flac source=AA03 claim=AA01 same=0");
    row_is(m, 2, "source=bonafide label=bonafide same=0");
    manifest_free(m);
    m = read_list(list("stopa_scores.csv"), &how);
    row_is(m, 0, "path=LA_1.flac source=AA01 claim= same=1 same_acoustic=1 same_vocoder=1");
    row_is(m, 1, "source=AA03 same=0 same_acoustic=0 same_vocoder=1");
    manifest_free(m);
    how = format("pairs");
    m = read_list(list("pairs.csv"), &how);
    row_is(m, 0, "path=fake/en/Mars5/a.wav source=Mars5 path_b=fake/en/Mars5/b.wav source_b=Mars5 same=1");
    row_is(m, 1, "source_b=bark same=0");
    manifest_free(m);
    how = format("claims");
    m = read_list(list("claims.csv"), &how);
    row_is(m, 0, "path=fake/en/Mars5/a.wav trial=mlaad_eval_R1_seed42 claim=Mars5 source=Mars5 rank=1");
    row_is(m, 1, "claim=bark id=x");
    manifest_free(m);
    static const broken CASES[] = {
        {"stopa", "", "is empty", SPOOR_ERR_INPUT},
        {"stopa", "LA_1.flac m s AA01\n", "names the column FileName", SPOOR_ERR_INPUT},
        {"stopa", "FileName ATK\nx\n", "line 2: 1 fields", SPOOR_ERR_INPUT},
        {"stopa", "FileName,ATK,IsTargetATK\nx,AA01,maybe\n", "neither True nor False", SPOOR_ERR_INPUT},
        {"pairs", "path_A,model_name_A,path_B,model_name_B\na,b,c,d\n", "names the column same_model", SPOOR_ERR_INPUT},
        {"pairs", "path_A,model_name_A,path_B,model_name_B,same_model\na,b,c,d,perhaps\n", "neither true nor false",
         SPOOR_ERR_INPUT},
        {"pairs", "path_A,model_name_A,path_B,model_name_B,same_model\na,b,c,d,True\n",
         "same_model is True for b and d", SPOOR_ERR_INPUT},
        {"pairs", "path_A,model_name_A,path_B,model_name_B,same_model\na,b,,b,1\n", "line 2: the path is empty",
         SPOOR_ERR_INPUT},
        {"claims", "protocol_id,claim_id,ref_rank,utt_id,path\np,c,1.5,u,x\n", "no whole number", SPOOR_ERR_INPUT},
        {"claims", "protocol_id,claim_id,ref_rank,utt_id,path\np,,1,u,x\n", "the claim is empty", SPOOR_ERR_INPUT},
        {"claims", "protocol_id,claim_id,ref_rank,utt_id\np,c,1,u\n", "names the column path", SPOOR_ERR_INPUT},
    };
    REFUSED(CASES);
}

static void json_lines(void **state) {
    (void)state;
    protocol_options how = format("jsonl");
    how.rename[0] = (protocol_rename){"path", "wav_path"};
    how.rename[1] = (protocol_rename){"language", "meta.lang"};
    how.n_renames = 2;
    manifest *m = read_list(list("rows.jsonl"), &how);
    assert_int_equal(manifest_rows(m), 2);
    row_is(m, 0, "path=a.wav system=x language=en meta.tags.0=t ok=true n=3 r=0.25 more=");
    row_is(m, 1, "path=b.wav more=1 system= ok=");
    assert_int_equal(manifest_column(m, "none"), SIZE_MAX);
    assert_int_equal(manifest_line(m, 1), 3);
    manifest_free(m);
    how = format("lhotse");
    m = read_list(list("cuts_train.jsonl"), &how);
    assert_int_equal(manifest_rows(m), 2);
    row_is(m, 0, "path=wav/r1.wav id=c1 speaker=p1 language=en source=vits label=spoof seconds=2.5 split=train");
    assert_string_equal(cell(m, 0, "text"), "hello, there");
    row_is(m, 1, "path=/abs/r2.wav speaker= label=");
    manifest_free(m);
    static const broken CASES[] = {
        {"jsonl", "", "holds no JSON object", SPOOR_ERR_INPUT},
        {"jsonl", "{}\n{\"a\": null}\n", "holds no JSON object", SPOOR_ERR_INPUT},
        {"jsonl", "{\"path\": \"a\"}\n[1]\n", "line 2: a line must be a JSON object", SPOOR_ERR_INPUT},
        {"jsonl", "{\"path\": \"a\"}\n{\"path\": \n", "line 2: no JSON", SPOOR_ERR_INPUT},
        {"jsonl", "{\"path\": \"a\", \"path\": \"b\"}\n", "no JSON: duplicate", SPOOR_ERR_INPUT},
        {"jsonl", "{\"\": \"a\"}\n", "column 1 of the header has no name", SPOOR_ERR_INPUT},
        {"jsonl", "{\"wav\": \"a\"}\n", "no column named path", SPOOR_ERR_INPUT},
        {"jsonl", "{\"path\": \"a\"}\n{\"path\": null}\n", "line 2: the path is empty", SPOOR_ERR_INPUT},
        {"jsonl", "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}\n", "deep",
         SPOOR_ERR_INPUT},
        {"lhotse", "{\"id\": \"m\", \"tracks\": [], \"type\": \"MixedCut\"}\n", "the cut has no recording",
         SPOOR_ERR_INPUT},
        {"lhotse", "{\"start\": 0, \"recording\": {\"sources\": [{\"type\": \"url\", \"source\": \"http\"}]}}\n",
         "is a url", SPOOR_ERR_INPUT},
        {"lhotse", "{\"start\": 1.5, \"recording\": {\"sources\": [{\"source\": \"x\"}]}}\n", "from 1.50 s",
         SPOOR_ERR_INPUT},
        {"lhotse",
         "{\"start\": 0, \"duration\": 1, \"recording\": {\"sources\": [{\"source\": \"x\"}], \"duration\": 2}}\n",
         "a part of its recording", SPOOR_ERR_INPUT},
    };
    REFUSED(CASES);
}

static void put(const char *name, const char *text) {
    char file[4200];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    for (char *slash = strchr(file + strlen(folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        support_ok(io_make_folder(file, &err), &err);
        *slash = '/';
    }
    support_ok(io_write_file(ctx, file, text, strlen(text), &err), &err);
}

static const char *scratch(const char *name) {
    static char file[4200];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    return file;
}

static void kaldi(void **state) {
    (void)state;
    const protocol_options how = format("kaldi");
    manifest *m = read_list(list("kaldi/train/wav.scp"), &how);
    assert_int_equal(manifest_rows(m), 3);
    row_is(m, 0, "path=wav/u1.wav id=u1 source=A01 label=spoof speaker=p1 split=train");
    row_is(m, 1, "path=/abs/u2.wav source=bonafide label=bonafide speaker=p2");
    row_is(m, 2, "path=u3.flac source= label= speaker=p1 language=");
    manifest_free(m);
    support_ok(manifest_new(ctx, &m, &err), &err);
    support_ok(manifest_add_list(m, list("kaldi/train"), NULL, &how, NULL, 0, &err), &err);
    row_is(m, 0, "id=u1 split=train");
    assert_string_equal(manifest_path(m, 0), list("kaldi/train/wav/u1.wav"));
    static const struct {
        const char *file, *text, *says;
    } CASES[] = {
        {"k1/wav.scp", "", "is empty"},
        {"k2/wav.scp", "u1 sox a.wav -t wav - |\n", "wav.scp, line 1: the recording comes from a command"},
        {"k3/wav.scp", "u1 a.wav b\n", "line 1: 3 fields"},
        {"k4/wav.scp", "u1\n", "line 1: 1 fields"},
        {"k5/segments", "u1 r1 0 1\n", "segments cuts recordings"},
        {"k6/utt2lab", "u1 a b\n", "utt2lab, line 1: a line reads"},
        {"k7/utt2spk", "u1 a\nu1 b\n", "the utterance u1 stands twice"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char name[40];
        snprintf(name, sizeof name, "k%zu/wav.scp", i + 1);
        put(name, "u1 a.wav\n");
        put(CASES[i].file, CASES[i].text);
        name[2] = '\0';
        refused(manifest_add_list(m, scratch(name), NULL, &how, NULL, 0, &err), SPOOR_ERR_INPUT, CASES[i].says);
        assert_int_equal(manifest_rows(m), 3);
    }
    put("k8/x", "");
    refused(manifest_add_list(m, scratch("k8"), NULL, &how, NULL, 0, &err), SPOOR_ERR_IO, "wav.scp");
    manifest_free(m);
}

static void folders(void **state) {
    (void)state;
    static const char *const FILES[] = {
        "f/train/vits/a.wav",
        "f/train/real/b.flac",
        "f/dev/fake/c.wav",
        "f/bark/deep/d.mp3",
        "f/e.wav",
        "f/notes.txt",
        "d/DATASET_GradTTS/train/a.wav",
        "d/DATASET_VCTK_BONAFIDE/valid/b.wav",
        "w/generated_audio/ljspeech_melgan/a.wav",
        "w/generated_audio/jsut_multi_band_melgan/b.wav",
        "w/generated_audio/common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech/c.wav",
        "w/real_audio/jsut_ver1.1/basic5000/d.wav",
        "w/LJSpeech-1.1/wavs/e.wav"};
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        put(FILES[i], "");
    }
    protocol_options how = format("folder");
    manifest *m;
    support_ok(manifest_new(ctx, &m, &err), &err);
    support_ok(manifest_add_list(m, scratch("f"), NULL, &how, NULL, 0, &err), &err);
    assert_int_equal(manifest_rows(m), 5);
    row_is(m, 0, "path=bark/deep/d.mp3 source=bark label=spoof split=");
    row_is(m, 1, "path=dev/fake/c.wav source= label=spoof split=dev");
    row_is(m, 2, "path=e.wav source= label= split=");
    row_is(m, 3, "path=train/real/b.flac source=bonafide label=bonafide split=train");
    row_is(m, 4, "path=train/vits/a.wav source=vits label=spoof split=train");
    assert_string_equal(manifest_path(m, 4), scratch("f/train/vits/a.wav"));
    manifest_free(m);
    how.format = "dfadd";
    support_ok(manifest_new(ctx, &m, &err), &err);
    support_ok(manifest_add_list(m, scratch("d/"), NULL, &how, NULL, 0, &err), &err);
    row_is(m, 0, "path=DATASET_GradTTS/train/a.wav source=GradTTS label=spoof split=train");
    row_is(m, 1, "source=bonafide label=bonafide split=dev");
    manifest_free(m);
    how.format = "wavefake";
    support_ok(manifest_new(ctx, &m, &err), &err);
    support_ok(manifest_add_list(m, scratch("w"), NULL, &how, NULL, 0, &err), &err);
    row_is(m, 0, "path=LJSpeech-1.1/wavs/e.wav source=bonafide label=bonafide");
    row_is(m, 1, "source=conformer_fastspeech2_pwg_ljspeech corpus=common_voices label=spoof");
    row_is(m, 2, "source=multi_band_melgan corpus=jsut");
    row_is(m, 3, "source=melgan corpus=ljspeech");
    row_is(m, 4, "source=bonafide corpus=");
    put("n/notes.txt", "");
    refused(manifest_add_list(m, scratch("n"), NULL, &how, NULL, 0, &err), SPOOR_ERR_INPUT, "holds no recording");
    refused(manifest_add_list(m, scratch("none"), NULL, &how, NULL, 0, &err), SPOOR_ERR_IO, "cannot search");
    put("n/one.wav", "");
    refused(manifest_add_list(m, scratch("n/one.wav"), NULL, &how, NULL, 0, &err), SPOOR_ERR_IO, "needs a folder");
    manifest_free(m);
    how.format = "in-the-wild";
    m = read_list(list("wild_meta.csv"), &how);
    row_is(m, 0, "path=0.wav label=spoof source= split=eval");
    row_is(m, 1, "label=bonafide source=bonafide");
    assert_string_equal(cell(m, 1, "speaker"), "Trump, Donald");
    manifest_free(m);
    static const broken CASES[] = {
        {"in-the-wild", "file,speaker,label\n0.wav,x,unsure\n", "line 2: the label \"unsure\"", SPOOR_ERR_INPUT},
        {"in-the-wild", "file,label\n0.wav,spoof\n", "names the column speaker", SPOOR_ERR_INPUT},
    };
    REFUSED(CASES);
}

static void codecfake(void **state) {
    (void)state;
    protocol_options how = format("codecfake");
    manifest *m = read_list(list("codecfake_train.txt"), &how);
    assert_int_equal(manifest_rows(m), 6);
    row_is(m, 0,
           "path=all_data_16k/p260_075.wav id=p260_075 label=bonafide source=bonafide vq=real aux=real dec=real "
           "speaker=p260 "
           "corpus=CoRS split=train page=");
    row_is(m, 1,
           "path=all_data_16k/p260_075_Encodec_24b24k.wav label=spoof source=Encodec_24b24k vq=MVQ aux=none dec=time");
    row_is(m, 3,
           "source=xcodec_hubert_general_audio vq=MVQ aux=semantic dec=time speaker=s5 "
           "id=s5_400_xocdec_hubert_general_audio");
    row_is(m, 4, "source=ticodec_1g1r vq=SVQ aux=disentangle dec=time");
    row_is(m, 5, "source=newcodec_9 vq=SQ aux=none dec=freq"); /* not in the taxonomy: as the list says */
    manifest_free(m);
    m = read_list(list("CoRS_small.txt"), &how);
    row_is(m, 0, "label=spoof source=vocos_encodec_6 vq=MVQ aux=none dec=freq corpus=CoRS speaker=p227");
    row_is(m, 1, "label=bonafide source=bonafide vq=real aux=real dec=real");
    row_is(m, 2, "source=mimi vq=MVQ aux=semantic dec=time speaker=s5 path=all_data_16k/s5_1_mini.wav");
    row_is(m, 3, "source=newcodec vq= aux= dec=");
    manifest_free(m);
    m = read_list(list("CoSG_small.txt"), &how);
    row_is(
        m, 0,
        "path=SLMdemos_16k/VIOLA/audios_entts_ref_14.wav label=bonafide source=bonafide vq=real corpus=CoSG page=VIOLA "
        "speaker=");
    row_is(m, 1, "label=spoof source=VIOLA vq=MVQ aux=none dec=time");
    row_is(m, 2, "source=ELLAV path=SLMdemos_16k/ELLAV/ELLAV_4_ellav_hc.wav corpus=CoSG");
    row_is(m, 3, "source=CLAMTTS vq=MVQ aux=none dec=freq");
    row_is(m, 4, "source=NEWTTS vq= page=NEWTTS");
    row_is(m, 5, "source=NEWTTS corpus=CoSG"); /* an id that is as long up to its '_', but is not that speaker's */
    manifest_free(m);
    how.taxonomy = list("taxonomy_more.json");
    m = read_list(list("CoRS_small.txt"), &how);
    row_is(m, 3, "source=newcodec vq=SQ aux= dec=");
    manifest_free(m);
    how.format = "mlaad"; /* any list has sources that a taxonomy may know */
    m = read_list(list("mlaad_dev.csv"), &how);
    row_is(m, 0, "source=suno/bark vq= dec=");
    row_is(m, 1, "source=Mars5 vq=SQ aux= dec=");
    manifest_free(m);
    how = (protocol_options){.format = "csv", .taxonomy = "codecfake_plus"};
    write_text("path,source,label,vq\na,mimi,spoof,\nb,bigcodec,spoof,mine\nc,mimi,bonafide,\n");
    m = read_list(path, &how);
    row_is(m, 0, "vq=MVQ aux=semantic dec=time");
    row_is(m, 1, "vq=mine aux=none"); /* what the list says stays */
    row_is(m, 2, "vq= aux= dec=");
    manifest_free(m);
    static const broken CASES[] = {
        {"codecfake", "", "is empty", SPOOR_ERR_INPUT},
        {"codecfake", "p1 p1_1 spoof\n", "line 1: 3 fields", SPOOR_ERR_INPUT},
        {"codecfake", "p1 p1_1 - - - spoof\n", "6 fields; lines of CodecFake+ have 4, 5 or 7", SPOOR_ERR_INPUT},
        {"codecfake", "p1 p1_1_mini - SEM TIME MVQ fakey\n", "the label \"fakey\"", SPOOR_ERR_INPUT},
        {"codecfake", "p1 p1_1_mini - SEM TIME QQ spoof\n", "the taxonomy has no vq \"QQ\"", SPOOR_ERR_INPUT},
        {"codecfake", "p1 p1_1_mini - REAL TIME MVQ spoof\n", "the label spoof and the aux REAL exclude",
         SPOOR_ERR_INPUT},
        {"codecfake", "p1 p1_1 - REAL TIME REAL bonafide\n", "the label bonafide and the dec TIME exclude",
         SPOOR_ERR_INPUT},
        {"codecfake", "p1 p1_1 - Trad TIME MVQ spoof\n", "no codec stands at the end", SPOOR_ERR_INPUT},
        {"codecfake", "p1 p1_1_ - - spoof\n", "no codec stands at the end", SPOOR_ERR_INPUT},
    };
    REFUSED(CASES);
    how.taxonomy = path;
    write_text("{}");
    support_ok(manifest_new(ctx, &m, &err), &err);
    refused(manifest_add_list(m, list("mlaad_dev.csv"), "", &how, NULL, 0, &err), SPOOR_ERR_INPUT,
            "\"attributes\" must map");
    how.taxonomy = "codecfake_plus";
    write_text("path\na\n");
    refused(manifest_add_list(m, path, "", &how, NULL, 0, &err), SPOOR_ERR_INPUT, "no column source");
    manifest_free(m);
}

static void the_split_stands_in_the_name(void **state) {
    (void)state;
    static const char *const NAMES[][2] = {{"ASVspoof2019.LA.cm.train.trn.txt", "train"},
                                           {"ASVspoof2019.LA.cm.dev.trl.txt", "dev"},
                                           {"validation_list.csv", "dev"},
                                           {"my-TEST.csv", "test"},
                                           {"eval2.csv", NULL},
                                           {"retrained.csv", NULL},
                                           {"trial_metadata.txt", NULL},
                                           {"", NULL}};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        const char *got = protocol_split_word(NAMES[i][0]);
        if ((got == NULL) != (NAMES[i][1] == NULL) || (got && strcmp(got, NAMES[i][1]) != 0)) {
            fail_msg("%s: %s", NAMES[i][0], got ? got : "none");
        }
    }
}

/* Every format, every allocation. */
static void failing_memory(void **state) {
    (void)state;
    static const char *const LISTS[][2] = {{"mlaad", "mlaad_train.csv"},
                                           {"mlaad-meta", "fake/zh-cn/OpenVoiceV2/meta.csv"},
                                           {"asvspoof2021", "asvspoof2021_df.txt"},
                                           {"stopa", "AA01-co-100_trials.txt"},
                                           {"pairs", "pairs.csv"},
                                           {"kaldi", "kaldi/train"},
                                           {"codecfake", "CoRS_small.txt"},
                                           {"lhotse", "cuts_train.jsonl"},
                                           {"folder", "."},
                                           {"tsv", "ASVspoof5.dev.track_1.tsv"}};
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++) {
        spoor_status status = SPOOR_ERR_LIMIT;
        for (size_t n = 1; status == SPOOR_ERR_LIMIT; n++) {
            assert_true(n < 300);
            support_failing fail = {.fail_at = n};
            spoor_context *failing = support_failing_context(&fail);
            manifest *m = NULL;
            protocol_options how = format(LISTS[i][0]);
            how.files = "wav/{id}";
            how.split = "train";
            how.taxonomy = i == 1 ? "codecfake_plus" : NULL;
            status = manifest_new(failing, &m, &err);
            if (status == SPOOR_OK) {
                status = manifest_add_list(m, list(LISTS[i][1]), NULL, &how, NULL, 0, &err);
            }
            manifest_free(m);
            assert_int_equal(fail.live, 0);
            spoor_context_free(failing);
        }
        /* the folder has no sound, the last list no column for {id}: they fail at the end for that */
        assert_int_equal(status, i < 8 ? SPOOR_OK : i == 8 ? SPOOR_ERR_INPUT : SPOOR_ERR_USAGE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlaad),          cmocka_unit_test(mlaad_meta),
        cmocka_unit_test(csv_and_tsv),    cmocka_unit_test(spoofing_challenges),
        cmocka_unit_test(comparisons),    cmocka_unit_test(json_lines),
        cmocka_unit_test(kaldi),          cmocka_unit_test(folders),
        cmocka_unit_test(codecfake),      cmocka_unit_test(the_split_stands_in_the_name),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
