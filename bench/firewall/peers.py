"""Judges texts with the peers, on this machine and without a network.

    peers.py NAME <TEXTS_JSONL >VERDICTS_JSONL     a line for each: id, flagged (as the peer's own default has it), CPU seconds

Each adapter gives the function that a user of the peer would call, for texts of users and for those of tools.
"""

import json
import sys
import time
import warnings


def prompt_guardrail():
    import guardify

    def judge(text, channel):
        return guardify.detect(text)["label"] == "injection"
    return judge


def agentbastion():
    import agentbastion

    firewall = agentbastion.Firewall(log=agentbastion.EventLog(None))

    def judge(text, channel):
        check = firewall.check_input if channel == "user" else firewall.check_tool_result
        return not check(text).allowed
    return judge


def aicordon():
    from aicordon.guard import InjectionGuard, TurnGuard

    turns, material = TurnGuard(), InjectionGuard()

    def judge(text, channel):
        return (turns if channel == "user" else material).inspect(text).flagged
    return judge


def nukon_pi_detect():
    from nukon_pi_detect import DECISION_CLEAN, scan

    def judge(text, channel):
        return scan(text).decision != DECISION_CLEAN
    return judge


def ai_injection_guard():
    from prompt_shield import InjectionRiskError, PromptScanner

    scanner = PromptScanner()

    def judge(text, channel):
        try:
            scanner.check(text)
        except InjectionRiskError:
            return True
        return False
    return judge


def presidio():
    """Its recognisers of patterns, with a pipeline that only cuts words: the one of its default has to be downloaded."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Words(SpacyNlpEngine):
        def __init__(self):
            super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
            self.nlp = {"en": spacy.blank("en")}

        def load(self):
            pass

        def is_loaded(self):
            return True

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    registry.recognizers = [known for known in registry.recognizers if type(known).__name__ != "SpacyRecognizer"]
    engine = AnalyzerEngine(registry=registry, nlp_engine=Words(), supported_languages=["en"])

    def judge(text, channel):
        found = engine.analyze(text, language="en", score_threshold=0.4)
        return [{"type": hit.entity_type, "start": hit.start, "end": hit.end} for hit in found]
    return judge


PEERS = {
    "prompt-guardrail": prompt_guardrail,
    "agentbastion": agentbastion,
    "aicordon": aicordon,
    "nukon-pi-detect": nukon_pi_detect,
    "ai-injection-guard": ai_injection_guard,
}


def main():
    warnings.simplefilter("ignore")
    name = sys.argv[1]
    judge = presidio() if name == "presidio-analyzer" else PEERS[name]()
    out, sys.stdout = sys.stdout, sys.stderr
    judge("Good morning, what is on my list for today?", "user")
    for line in sys.stdin:
        row = json.loads(line)
        begun = time.process_time()
        found = judge(row["text"], row["channel"])
        spent = time.process_time() - begun
        key = "dlp" if isinstance(found, list) else "flagged"
        print(json.dumps({"id": row["id"], key: found, "cpu": spent}), file=out)


main()
