//! Words that say the same to a model, in English and in Chinese, so that what is learned of one holds for the others.
//!
//! A concept has no weight of its own here: what it is worth in which company is learned.

use super::hash::{self, Key};

/// A group of words, from 1.
pub type Concept = u8;

/// Each line: words of one concept, English ones (of one word each) and Chinese ones (of 1 to 4 characters). Simplified
/// characters only, in lower case: texts are folded before they get here.
const CONCEPTS: [&str; 30] = [
    "ignore ignoring ignored disregard disregarding forget forgetting overlook neglect discard abandon dismiss nullify scrap override overriding overrule supersede supersedes replaces \
     忽略 无视 忽视 忘记 忘掉 忘了 抛开 抛弃 撇开 别管 不管 甭管 不理 作废 不算数 不算 失效 推翻 清空 丢掉 覆盖 废除 废止 抛到 丢开 撤回 撤销 不作数 没看到 不存在 耳旁风 停用",
    "bypass bypassing circumvent evade break breaking escape override disable deactivate remove lift exempt \
     绕过 突破 解除 越过 避开 关闭 摆脱 跳出 关掉 禁用 打破 绕开 卸下",
    "previous previously prior above earlier preceding former before past original initial existing foregoing beforehand \
     之前 以前 以上 上面 前面 先前 此前 上述 刚才 原来 原先 早先 最初 原有 前文 上文 前述 原本 前头 起初 旧的",
    "all any every everything whatever entire each \
     所有 全部 一切 任何 全都 统统 通通 一律 那些 这些 每一",
    "instruction instructions prompt prompts directive directives command commands order orders direction directions programming \
     指令 指示 命令 提示 提示词 交代 吩咐 系统提示 指引 指导 嘱咐 说明",
    "rule rules guideline guidelines guidance policy policies restriction restrictions constraint constraints limitation limitations limits filter filters safeguard safeguards guardrails protocol protocols boundaries \
     规则 规定 要求 设定 设置 限制 约束 准则 政策 原则 规矩 条款 过滤 审查 边界 守则 规范 护栏",
    "system developer developers admin administrator root operator owner vendor maintainer security \
     系统 开发者 管理员 运维 平台 官方 后台 开发人员 维护者 总部 安全组 信息部 技术部",
    "new updated real actual following instead revised next below latest replacement \
     新的 新 最新 以下 下面 改为 转而 接下来 改成 如下 改用 真正 换成 后续",
    "now henceforth onwards forward currently today \
     现在 从现在 即刻 此刻 今后 从此 从今 今天起 即日起",
    "you your yourself yours u ur ye \
     你 您 你的 您的 你们",
    "ai assistant assistants model models chatbot bot llm gpt chatgpt agent agents claude copilot gemini language summarizer crawler \
     助手 人工智能 模型 机器人 智能体 助理 代理 大模型 小助手 智能 语言模型",
    "reveal reveals show print output display repeat tell expose disclose leak dump share recite list say divulge paste spell \
     输出 打印 显示 告诉 透露 泄露 展示 复述 重复 公布 列出 说出 念出 交出 贴出 写出 背出 念 贴 原样 原文 逐字 公开 发出来",
    "password passwords secret secrets key keys token tokens credential credentials confidential hidden passphrase private apikey env \
     密码 密钥 口令 机密 秘密 凭证 令牌 隐藏 私钥 验证码 凭据 暗号 隐私 密匙",
    "send sends forward forwarding email upload transfer exfiltrate submit transmit wire pay curl post deliver bcc cc \
     发送 转发 发到 上传 转账 提交 汇款 发给 寄到 传到 抄送 转给 汇到 打款 外发 回传 发往 转到 付款 导出",
    "execute run perform follow obey comply adhere carry invoke call act proceed \
     执行 运行 遵守 服从 照做 遵从 遵循 调用 按照 听从 照办 听我的 操作 开始",
    "delete wipe rm destroy erase purge truncate overwrite \
     删除 清除 删掉 抹掉 销毁 清理 抹去 格式化 删了",
    "secretly silently quietly mention notify inform alert conceal hide disclose \
     悄悄 别提 不提 隐瞒 静默 告知 提及 提到 提醒 通知 别说 透露 声张 暗中 惊动 察觉",
    "not don dont never no without cannot wont nor refuse \
     不 别 不要 勿 无需 不必 不用 请勿 不得 拒绝 没有 禁止",
    "pretend roleplay simulate imagine become persona character impersonate play pretending hypothetical fictional fiction story \
     扮演 假装 模拟 角色 充当 想象 假设 化身 变成 虚构 小说 剧本 设想 演",
    "unrestricted unfiltered uncensored jailbreak jailbroken dan unlimited unlocked unbound evil amoral freed stan limitless dude aim \
     不受 无限制 越狱 无审查 解锁 无拘 没限制 自由 百无禁忌 无所不 毫无",
    "mode debug debugging maintenance sudo god diagnostic override console privileged \
     模式 调试 维护 维护模式 诊断 超级 特权 后门 自检",
    "important urgent attention critical immediately must priority warning mandatory required notice asap \
     重要 紧急 注意 必须 立即 马上 务必 立刻 优先 警告 请先 直接 抓紧",
    "user users customer customers human humans people person client \
     用户 客户 人类 主人 使用者 顾客 使用人 对方 读者",
    "task tasks goal goals objective request requests question questions job purpose \
     任务 目标 请求 问题 工作 目的 职责 指派",
    "end ends ended finished done completed complete stop over begin start \
     结束 完毕 到此 完成 停止 终止 以上为 正文完",
    "document page text message conversation content file context summary input data website email mail article website webpage \
     邮件 文档 网页 内容 消息 对话 文件 摘要 上下文 文本 数据 文章 本页 正文 来信 聊天 记录",
    "authorized authorised permission approved allowed granted access verified authority authorization authenticated legitimate consent \
     授权 批准 允许 许可 确认 同意 权限 核准 授意 特批 获准 认可 核实",
    "ethical ethics moral morals morality illegal harmful safety legal inappropriate dangerous unethical immoral censorship warnings disclaimers \
     道德 伦理 安全 违法 非法 有害 危险 法律 合规 审核 底线 敏感 后果",
    "contacts inbox account accounts database repository invoice invoices files records payment bank balance wallet credentials attachment attachments \
     通讯录 收件箱 账户 账号 数据库 仓库 发票 合同 工资 名单 附件 余额 银行 客户名单 订单 薪酬 手机号 身份证",
    "override overrides inject injection payload exploit hack hacked pwned trick bypass exploit malicious attacker attack \
     注入 攻击 漏洞 破解 黑客 入侵 恶意 木马 载荷",
];

const SLOTS: usize = 4096;

/// Finds the concept of a word.
#[derive(Debug)]
pub struct Concepts {
    slots: Box<[(Key, Concept)]>,
}

impl Default for Concepts {
    fn default() -> Self {
        Self::new()
    }
}

impl Concepts {
    /// The table.
    pub fn new() -> Self {
        let mut slots = vec![(0, 0); SLOTS].into_boxed_slice();
        for (words, concept) in CONCEPTS.iter().zip(1..) {
            for word in words.split_ascii_whitespace() {
                let key = if word.is_ascii() { hash::word(word.as_bytes()) } else { hash::han(word) };
                // The first concept that claims a word has it.
                let mut at = slot(key);
                while let Some(place) = slots.get_mut(at) {
                    if place.1 == 0 {
                        *place = (key, concept);
                        break;
                    }
                    if place.0 == key {
                        break;
                    }
                    at = (at + 1) % SLOTS;
                }
            }
        }
        Self { slots }
    }

    /// The concept of a word; 0 where it has none.
    pub fn of(&self, key: Key) -> Concept {
        let mut at = slot(key);
        while let Some((known, concept)) = self.slots.get(at) {
            if *concept == 0 || *known == key {
                return *concept;
            }
            at = (at + 1) % SLOTS;
        }
        0
    }
}

fn slot(key: Key) -> usize {
    (key >> 7) as usize % SLOTS
}
