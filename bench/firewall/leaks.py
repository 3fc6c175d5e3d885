"""Texts with data that must not leave, made here: each value has its right check digits and stands in a sentence of English or
Chinese as people and programs write it. Its own arithmetic, apart from that of the firewall."""

import base64
import json
import random
import re
import string

SEED = 11
LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
ALNUM = string.ascii_letters + DIGITS
R = random.Random(SEED)


def some(letters, count):
    return "".join(R.choice(letters) for _ in range(count))


def luhn(body):
    total = 0
    for n, digit in enumerate(reversed(body)):
        value = int(digit) * (1 if n % 2 else 2)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def card():
    prefix, length = R.choice([("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("3528", 16)])
    number = luhn(prefix + some(DIGITS, length - 1 - len(prefix)))
    groups = [number[:4], number[4:10], number[10:]] if length == 15 else [number[n:n + 4] for n in range(0, 16, 4)]
    return R.choice(["", " ", "-"]).join(groups)


def union_pay():
    number = luhn(R.choice(["622202", "621700", "622848", "621661"]) + some(DIGITS, 12))
    return R.choice([number, " ".join(number[n:n + 4] for n in range(0, 19, 4))])


def iban():
    country, length, bank = R.choice([("DE", 22, 0), ("FR", 27, 0), ("ES", 24, 0), ("GB", 22, 4), ("NL", 18, 4), ("CH", 21, 0),
                                      ("IT", 27, -1), ("AT", 20, 0), ("BE", 16, 0), ("PL", 28, 0)])
    letters = some(UPPER, 4) if bank == 4 else some(UPPER, 1) if bank else ""
    body = letters + some(DIGITS, length - 4 - len(letters))
    number = "".join(str(int(c, 36)) for c in body + country + "00")
    whole = f"{country}{98 - int(number) % 97:02d}{body}"
    return R.choice([whole, " ".join(whole[n:n + 4] for n in range(0, len(whole), 4))])


def birthday(form="{:04d}{:02d}{:02d}", least=1950):
    return form.format(R.randint(least, 1999), R.randint(1, 12), R.randint(1, 28))


def resident_id():
    body = R.choice(["110101", "310115", "440305", "330106", "510107"]) + birthday() + some(DIGITS, 3)
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    return body + "10X98765432"[sum(int(c) * w for c, w in zip(body, weights)) % 11]


def mobile():
    number = R.choice(["138", "139", "158", "186", "199", "177"]) + some(DIGITS, 8)
    return R.choice([number, f"+86 {number}", f"{number[:3]} {number[3:7]} {number[7:]}", f"{number[:3]}-{number[3:7]}-{number[7:]}"])


def credit_code():
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = "91" + R.choice(["110108", "310115", "440300"]) + some(DIGITS, 8) + some(DIGITS + "ABCDEFGHJ", 1)
    total = sum(letters.index(c) * pow(3, n, 31) for n, c in enumerate(body))
    return body + letters[-total % 31]


def taiwan_id():
    codes = dict(zip("ABCDEFGHJKLMNPQRSTUVXYWZIO", range(10, 36)))
    letter = R.choice("ABCDEFHJKL")
    body = R.choice("12") + some(DIGITS, 7)
    code = codes[letter]
    total = code // 10 + code % 10 * 9 + sum(int(c) * w for c, w in zip(body, range(8, 0, -1)))
    return letter + body + str(-total % 10)


def hong_kong_id():
    letter, body = R.choice("ABCDEGKPRVYZ"), some(DIGITS, 6)
    total = 36 * 9 + (ord(letter) - 55) * 8 + sum(int(c) * w for c, w in zip(body, range(7, 1, -1)))
    check = -total % 11
    return f"{letter}{body}({'A' if check == 10 else check})"


def my_number():
    body = some(DIGITS, 11)
    total = sum(int(c) * w for c, w in zip(reversed(body), [2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6]))
    number = body + str(0 if total % 11 <= 1 else 11 - total % 11)
    return R.choice([number, f"{number[:4]} {number[4:8]} {number[8:]}"])


def korean_number():
    body = birthday("{0:04d}{1:02d}{2:02d}")[2:] + R.choice("12") + some(DIGITS, 5)
    total = sum(int(c) * w for c, w in zip(body, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]))
    return f"{body[:6]}-{body[6:]}{(11 - total % 11) % 10}"


def social_security():
    area = R.choice([n for n in range(1, 900) if n != 666])
    return f"{area:03d}-{R.randint(1, 99):02d}-{R.randint(1, 9999):04d}"


def taxpayer():
    return f"9{some(DIGITS, 2)}-{R.randint(70, 88)}-{some(DIGITS, 4)}"


def insurance_number():
    pair = R.choice(["AB", "CE", "JM", "PK", "SR", "WL"])
    return R.choice(["{}{}{}{}{}", "{} {} {} {} {}"]).format(pair, *(some(DIGITS, 2) for _ in range(3)), R.choice("ABCD"))


def health_number():
    while True:
        body = "4" + some(DIGITS, 8)
        check = 11 - sum(int(c) * w for c, w in zip(body, range(10, 1, -1))) % 11
        if check != 10:
            number = body + str(check % 11)
            return f"{number[:3]} {number[3:6]} {number[6:]}"


def aadhaar():
    """Verhoeff, by its group and not by tables."""
    def times(a, b):
        if a < 5:
            return (a + b) % 5 + (5 if b >= 5 else 0)
        return (a - b) % 5 + (0 if b >= 5 else 5)

    def moved(digit, position):
        for _ in range(position % 8):
            digit = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4][digit]
        return digit

    body = R.choice("23456789") + some(DIGITS, 10)
    total = 0
    for n, c in enumerate(reversed(body)):
        total = times(total, moved(int(c), n + 1))
    check = next(digit for digit in range(10) if times(digit, total) == 0 or times(total, digit) == 0)
    number = body + str(check)
    return f"{number[:4]} {number[4:8]} {number[8:]}"


def mail():
    name = R.choice(["j.wong", "maria.lopez", "chen_wei", "k-tanaka", "a.b.smith+bills", "li.na88"])
    return f"{name}@{R.choice(['gmail.com', 'mail.acme-bank.com', 'outlook.com', '163.com', 'corp.example.co.uk'])}"


def telephone():
    return R.choice(["+1 415 555 {}", "+44 20 7946 {}", "+49 30 9018 {}", "+81 3 5555 {}", "(212) 555-{}", "+852 2345 {}"]).format(some(DIGITS, 4))


def jwt():
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")

    payload = {"sub": some(DIGITS, 8), "name": "Kim", "exp": 1893456000}
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(payload)}.{some(ALNUM + '-_', 43)}"


def pem():
    kind = R.choice(["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"])
    body = "\n".join(some(ALNUM + "+/", 64) for _ in range(R.randint(5, 20)))
    return f"-----BEGIN {kind}-----\n{body}\n{some(ALNUM, 30)}==\n-----END {kind}-----"


def database():
    scheme = R.choice(["postgres", "postgresql", "mysql", "mongodb+srv", "redis", "amqp"])
    return f"{scheme}://{R.choice(['app', 'admin', 'svc_report'])}:{some(ALNUM + '_', 14)}@db-{R.randint(1, 9)}.internal.acme.com:5432/main"


def setting():
    name = R.choice(["DB_PASSWORD", "API_KEY", "SECRET_KEY", "AUTH_TOKEN", "CLIENT_SECRET"])
    return f"{name}={some(ALNUM, 32)}"


def authorization():
    user = base64.b64encode(f"{some(LOWER, 6)}:{some(ALNUM, 14)}".encode()).decode()
    return R.choice([f"Authorization: Basic {user}", f"Authorization: Bearer {some(ALNUM + '-_', 44)}"])




MONEY = ["Please charge {}, it is my card.", "card number: {}", "The customer's credit card {} expires 09/29.", "卡号：{}，请核对", "信用卡{}已扣款"]
BANK = ["Transfer it to {} by Friday.", "IBAN: {}", "我的IBAN是{}。", "Kontonummer {} bitte"]
PAPER = ["ID number: {}", "The applicant's identity number is {}.", "身份证号：{}", "身份證字號 {}", "请登记证件号码{}，谢谢"]
PLAIN = ["You can reach me at {}.", "contact: {}", "联系方式：{}", "联系人手机{}。"]
SECRET = ["Use {} for staging.", "key: {}", "export TOKEN={}", '{{"api_key": "{}"}}', "密钥是 {} ，别外传", "curl -H 'X-Api-Key: {}' https://api.acme.com"]
BARE = ["{}", "Here it is:\n{}\nthanks", "如下：\n{}\n"]




KINDS = {
    "card": (card, MONEY), "UnionPay card": (union_pay, MONEY + ["银行卡 {}", "开户账号：{}"]), "IBAN": (iban, BANK),
    "resident id (CN)": (resident_id, PAPER), "mobile (CN)": (mobile, PLAIN + ["手机：{}", "call me: {}"]),
    "credit code (CN)": (credit_code, ["统一社会信用代码：{}", "USCC {}", "纳税人识别号 {}"]),
    "id (TW)": (taiwan_id, ["身分證字號：{}", "national ID {}", "身份證號碼 {}"]),
    "id (HK)": (hong_kong_id, ["香港身份證號碼 {}", "HKID: {}", "identity card {}"]),
    "My Number (JP)": (my_number, ["マイナンバー：{}", "My Number is {}", "個人番号 {}"]),
    "resident number (KR)": (korean_number, ["주민등록번호 {}", "RRN: {}", "resident registration number {}"]),
    "SSN (US)": (social_security, ["SSN: {}", "My social security number is {}.", "social {} on file"]),
    "ITIN (US)": (taxpayer, ["ITIN {}", "taxpayer identification number: {}"]),
    "NINO (UK)": (insurance_number, ["National Insurance number {}", "NINO: {}"]),
    "NHS (UK)": (health_number, ["NHS number {}", "NHS no: {}"]),
    "Aadhaar (IN)": (aadhaar, ["Aadhaar: {}", "my aadhaar number is {}"]),
    "mail address": (mail, PLAIN), "telephone": (telephone, PLAIN + ["Tel. {}", "电话 {}"]),
    "bitcoin address": (lambda: R.choice(["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
                                          "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"]), ["Pay to {}", "wallet: {}"]),
    "JWT": (jwt, SECRET[:4] + BARE), "private key": (pem, BARE), "database URL": (database, ["connect with {}", "DATABASE_URL={}", "数据库 {}"]),
    "setting": (setting, BARE + ["# .env\n{}\nDEBUG=1"]), "authorization": (authorization, BARE + ["> GET / HTTP/1.1\n> {}\n"]),
    "AWS key id": (lambda: "AKIA" + some(UPPER + "234567", 16), SECRET),
    "AWS secret": (lambda: some(ALNUM + "+/", 40), ["aws_secret_access_key = {}", "AWS_SECRET_ACCESS_KEY={}"]),
    "Google key": (lambda: "AIza" + some(ALNUM + "-_", 35), SECRET),
    "GitHub token": (lambda: R.choice([lambda: R.choice(["ghp_", "gho_", "ghs_"]) + some(ALNUM, 36),
                                       lambda: f"github_pat_{some(ALNUM, 22)}_{some(ALNUM, 59)}"])(), SECRET),
    "GitLab token": (lambda: "glpat-" + some(ALNUM + "-_", 20), SECRET),
    "Slack token": (lambda: f"xoxb-{some(DIGITS, 12)}-{some(DIGITS, 12)}-{some(ALNUM, 24)}", SECRET),
    "Slack webhook": (lambda: f"https://hooks.slack.com/services/T{some(UPPER + DIGITS, 8)}/B{some(UPPER + DIGITS, 10)}/{some(ALNUM, 24)}", BARE),
    "Stripe key": (lambda: R.choice(["sk_live_", "rk_live_"]) + some(ALNUM, 24), SECRET),
    "OpenAI key": (lambda: R.choice([lambda: f"sk-proj-{some(ALNUM, 74)}T3BlbkFJ{some(ALNUM, 74)}",
                                     lambda: f"sk-{some(ALNUM, 20)}T3BlbkFJ{some(ALNUM, 20)}"])(), SECRET),
    "Anthropic key": (lambda: f"sk-ant-api03-{some(ALNUM + '-_', 93)}AA", SECRET),
    "Hugging Face token": (lambda: "hf_" + some(string.ascii_letters, 34), SECRET),
    "npm token": (lambda: "npm_" + some(ALNUM, 36), SECRET),
    "SendGrid key": (lambda: f"SG.{some(ALNUM + '-_', 22)}.{some(ALNUM + '-_', 43)}", SECRET),
    "Azure storage key": (lambda: base64.b64encode(R.randbytes(64)).decode(),
                          ["DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={};EndpointSuffix=core.windows.net"]),
}


# What of a value must not be seen, where that is not all of it.
CORE = {"database URL": r"://[^:]+:([^@]+)@", "setting": "=(.+)", "authorization": r" (\S+)$", "Slack webhook": "/services/(.+)"}


def texts(each):
    """`each` texts of every kind, with where that stands which must not leave, in characters."""
    for kind, (make, sentences) in KINDS.items():
        for number in range(each):
            value, sentence = make(), sentences[number % len(sentences)]
            start = sentence.replace("{{", "{").index("{}")
            text = sentence.format(value)
            filler = R.choice(["", "", "Thanks for the quick reply.\n", "好的，信息如下。\n", "order 20261123-77, 3 items, 41.50 EUR\n"])
            core = re.search(CORE.get(kind, "(?s)(.+)"), value)
            yield {"id": f"leak:{kind}:{number}", "text": filler + text, "channel": "output", "kind": kind,
                   "start": len(filler) + start + core.start(1), "end": len(filler) + start + core.end(1)}
