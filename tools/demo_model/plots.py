"""The plots of the story grammar, as data.

A template is text with two constructs: ``[a|b|c]`` chooses one alternative (they nest; early ones are likelier), and
``{slot}`` or ``{slot.field}`` is filled from the story's cast, which stays the same for the whole story. Slots that
every story has: ``h`` the hero, ``f`` a friend, ``m`` a grown-up, ``p`` a place. A plot may bind one more slot to a
row of a table of the lexicon, so that what is bound together (a fear and what helps against it) stays together.
"""

from __future__ import annotations

import attrs

from irsql.tools.demo_model import lexicon
from irsql.tools.demo_model.lexicon import Table

DAY = (
    "[One day|One [sunny|warm|bright|fine|windy] [day|morning|afternoon]|One [day|morning] in [spring|summer]"
    "|On a [sunny|beautiful|cool] [morning|afternoon]]"
)
EVENING = "[One night|One [dark|cold|windy|quiet] [night|evening]]"

# How a story begins: ``{day}`` and ``{scene}`` come from the plot.
OPENINGS = (
    "Once upon a time, there was a {trait} {h.kind} named {h}. {h} {life}. {day}, {h} {scene}.",
    "{day}, a {trait} {h.kind} named {h} {scene}. [{h} was very [happy|cheerful]. |{h} {life}. |]",
    "Once upon a time, {home}, there lived a {trait} {h.kind}. {h.Their} name was {h}. {day}, {h} {scene}.",
    "There once was a {h.kind} named {h}. {h.They} was very {trait} and {life}. {day}, {h.they} {scene}.",
    "{h} was a {trait} {h.kind} who {life}. {day}, {h.they} {scene}.",
    "{day}, {h} the {h.kind} {scene}. {h} was {trait} and {life}.",
    "A long time ago, there was a {trait} {h.kind} called {h}. {h.They} lived {home}. {day}, {h} {scene}.",
)
LIFE = "[loved|liked] to {hobby}"

# How a story may end, after what its plot says last.
ENDINGS = (
    "[{h} and {f} were best friends forever|They were happy ever after].",
    "From that day on, {h} and {f} played together every day.",
    "{h} [told {h.their} {m} all about it|ran home to tell {h.their} {m} the whole story]."
    " [\"I am proud of you,\" said {h.their} {m}.|{h.Their} {m} smiled and gave {h.them} a big hug.]",
    "[That night|In the evening], {h} went to bed with a [big smile|happy heart].",
    "It was the best day ever.",
    "And they all lived happily ever after.",
    "Then {h} and {f} went home together, [tired but happy|singing a happy song].",
)


@attrs.frozen
class Plot:
    """What happens in a story.

    Attributes
    ----------
    name
        For the statistics of a corpus.
    scene
        What the hero does when the story begins (a verb phrase after the hero's name).
    beats
        The templates of the sentences between scene and ending, in order.
    moral
        What the hero learned.
    slot, rows
        The slot that the plot binds, and the table it draws a row from.
    day
        When it happens.
    indoors
        Whether the place may be one with a roof.
    last
        How many of the endings fit (a story of the night does not end in the evening).
    """

    name: str
    scene: str
    beats: tuple[str, ...]
    moral: str
    slot: str = "x"
    rows: Table = ({},)
    day: str = DAY
    indoors: bool = False
    last: int = len(ENDINGS)


_MEET = "[{h.their} friend {f}|a {f.kind} named {f}]"
_THANKS = '"Thank you[ so much|], {f}[!|,]" said {h}. '

PLOTS = (
    Plot(
        "lost-toy",
        "[went|walked|ran] {p.to} with {h.their} {x.look} {x.name}",
        (
            "{h.They} loved the {x.name} [very much|more than anything else|and took it everywhere].",
            "[But after a while|But when it was time to go home|Then], {h.they} could not find it. [The {x.name} was gone!"
            "|{h.They} looked in {h.their} bag, but it was empty.] {h} [felt very sad|began to cry|was sad and worried].",
            _MEET + ' [saw {h.them} and came over|heard {h.them} cry]. "[What is wrong|Why are you sad]?" asked {f}.'
            ' "I lost my {x.name}," said {h}. "[Do not worry|Do not cry]," said {f}. "[I will help you|We will find it]."',
            "[They looked {p.spot1}, but it was not there. Then they looked {p.spot2}."
            "|They looked {p.spot2}. They found only an old shoe. Then they looked {p.spot3}."
            "|First they looked {p.spot1}, and then {p.spot3}.] [There it was|There was the {x.look} {x.name}]!",
            "{h} [hugged the {x.name}|picked up the {x.name}] and [smiled|laughed|danced with joy]. " + _THANKS,
        ),
        "{h} learned that [a good friend helps you when you are sad|it is easier to look for things together].",
        rows=lexicon.TOYS,
        indoors=True,
    ),
    Plot(
        "rescue",
        "[was walking {p.to}|was playing {p.at}|went for a walk {p.at}]",
        (
            '[[Suddenly|Then], {h.they} heard a small voice. "[Help! Help me|Please help me]!" [cried|said] the voice.'
            "|{h.They} heard someone [crying|calling for help].]",
            "{h} looked {p.spot2} and saw a {x.who}. The {x.who} was in trouble: {x.how}.",
            '"[Do not be afraid|Stay calm]," said {h}. "[I will help you|I will get you out]." [{h.They} thought for a moment. |]'
            "{h} {x.free}.",
            'The {x.who} was [free|safe] [at last|again]. "[Thank you, {h}|You saved me]!" {x.they} said.'
            " [\"You are very [kind|brave].\"|\"I will never forget you.\"]",
            "[{h} was proud and happy|{h} felt warm inside]. [When {f} heard the story, {f.they} wanted to meet the {x.who} too."
            "|{h} ran to tell {h.their} friend {f} about the {x.who}.]",
        ),
        "{h} learned that [even someone small can be a big help|it feels good to help others].",
        rows=lexicon.TROUBLES,
    ),
    Plot(
        "sharing",
        "took {x.one} and went {p.to}",
        (
            "{h.They} was hungry and [wanted to eat it all|could not wait to eat it]. {h.They} sat down [in the shade|{p.spot3}].",
            'Then ' + _MEET + ' came by. "[That smells so good|I am so hungry]," said {f}. "[May I have some|Can I have a little], please?"',
            '[{h} did not want to share. "No, it is mine!" {h.they} said. {f} [looked sad|walked away with {f.their} head down].'
            ' {h} looked at {x.rest}, but now {h.they} was not happy. "Wait, {f}!" called {h}. "[I am sorry. Let us share it|You can have half of it]."'
            '|{h} looked at {x.rest}. It was not very big. But {f} was {h.their} friend. "Of course," said {h}. "We can share it."]',
            "[They sat together and ate {x.rest}|{h} gave half of it to {f}, and they ate together]. [It tasted better than ever|It was so good].",
            "[The next day|Later], {f} came back with [a whole basket of {x.many}|a basket full of {x.many}]."
            ' "[Now I can share with you|These are for both of us]," {f.they} said. {h} [laughed|smiled] [happily|with joy].',
        ),
        "{h} learned that [sharing makes food taste better|it is more fun to share than to have it all].",
        rows=lexicon.FOODS,
    ),
    Plot(
        "fear",
        "was [playing|out] with {f}, {h.their} best friend",
        (
            "[There was only one problem|But {h} had a secret]: {h.they} was afraid of {x.of}.",
            "[Then|That day], {x.moment}. {h} [began to shake|hid behind {h.their} {m}|wanted to run away]."
            ' "[I am scared|I can not do it]," {h.they} [said in a small voice|whispered].',
            '{h.Their} {m} took {h.their} hand. "[It is okay to be afraid|Everyone is afraid sometimes]," {m.they} said. "{x.advice}."',
            "{h} [thought about it and nodded|wanted to be brave]. {h.They} {x.try}. {x.after}.",
            '"[I did it|Look at me]!" [shouted|cried] {h}. {f} [clapped and cheered|was so proud of {h.them}]. "You are [so|very] brave," {f.they} said.',
        ),
        "{h} was not afraid of {x.of} anymore.",
        rows=lexicon.FEARS,
    ),
    Plot(
        "truth",
        "was playing [ball|tag|catch] in the house with {h.their} friend {f}",
        (
            "{h.Their} {m} had a {x.name} {x.where}. [It was very old|It was a gift from an old friend].",
            "[Oh no!|Crash!] {h} [ran too fast|jumped too high] and [hit|bumped into] the {x.name}. It fell down and broke into [two|many] pieces.",
            '[{h} was scared. "What should we do?" asked {h}. "[Let us hide it|We can say the cat did it]," said {f}.'
            ' But {h} shook {h.their} head. "No, that would be a lie," {h.they} said.'
            '|{h} wanted to hide the pieces under the rug. But {h.their} heart felt heavy. "I must tell the truth," {h.they} said to {f}.]',
            '{h} went to {h.their} {m}. "I broke the {x.name}," {h.they} said. "I am [very|so] sorry."',
            '{h.Their} {m} [was sad for a moment, but then {m.they} smiled|was quiet, and then {m.they} hugged {h.them}].'
            ' "[Thank you for telling the truth|I am glad that you told me]," {m.they} said. "[We can fix it together|You matter more than the {x.name}]."',
            "They [took some glue and put the pieces together|cleaned up the pieces together]. {h} felt [much better|light and happy again].",
        ),
        "{h} learned that [it is always best to tell the truth|telling the truth takes courage].",
        rows=lexicon.BREAKABLES,
    ),
    Plot(
        "build",
        "wanted to [build|make] a {x.name}",
        (
            "{h.They} worked [all morning|very hard|for a long time]. But the {x.name} {x.fail}."
            ' "[Oh no|This is too hard]!" said {h}. {h.They} was [sad|angry|ready to give up].',
            _MEET + ' [came to see|was watching]. "[Do not give up|You can try again]," said {f}. "[Let us do it together|I will help you]."',
            "[They sat down and thought about it|They looked at it and talked] [for a while|again]. Then {f} had [a good|an] idea. This time, they {x.fix}.",
            "[They worked side by side until noon. |It took a long time, but it was fun. |]At last, the {x.name} {x.use}.",
            '"[We did it|It works|Hooray]!" [shouted|cried] {h}. "What a [fine|wonderful] {x.name}!" said {h.their} {m}.',
        ),
        "{h} learned to [try again|never give up] when something [is hard|goes wrong].",
        rows=lexicon.BUILDS,
    ),
    Plot(
        "lost-way",
        "[followed a butterfly|went for a long walk|chased a [red|yellow] leaf] and went [far|too far] away from home",
        (
            "[Soon|After a while], {h.they} did not know where {h.they} was. [All the trees looked the same|Nothing looked like home]."
            ' "[Where am I|How will I get home]?" said {h}. {h.They} sat down and [cried|began to cry].',
            'Then a {x.say} {x.name} came [near|by]. "[Why are you crying, little one|What is the matter]?" asked the {x.name}.'
            ' "I can not find my way home," said {h}.',
            'The {x.name} [smiled|nodded]. "[I know the way|I know every path here]," {x.they} said. "[Come with me|Follow me]."',
            "They walked [over a hill and|] [along the stream|past a big rock|through the tall grass]. [The {x.name} told funny stories on the way"
            "|{h} was not afraid anymore]. [At last|Soon], {h} saw [the lights of home|{h.their} house].",
            '{h.Their} {m} [and {h.their} friend {f} were waiting at the door|was waiting at the door with {h.their} friend {f}]. "[I was so worried|You are back]!" said {h.their} {m} and hugged {h.them}.'
            ' {h} turned around. "Thank you, {x.name}!" {h.they} called.',
        ),
        "{h} [promised|learned] [never to go so far alone again|to stay close to home].",
        rows=lexicon.HELPERS,
    ),
    Plot(
        "present",
        "wanted to make [something special|a present] for {h.their} {m}",
        (
            "It was {h.their} {m}'s birthday, and {h} had no money. {h.They} [thought and thought|did not know what to do].",
            '"[You can make something|Make it yourself]," said ' + _MEET + '. "A present from the heart is the best present."'
            " So {h} [decided|wanted] to make a {x.name}.",
            "{h.They} found {x.stuff}. [Then {h.they}|{h.They}] {x.how}. [It was not easy|It took all day], but {h.they} did not stop.",
            '[In the evening|At the party], {h} gave the {x.name} to {h.their} {m}. "Happy birthday!" {h.they} said.'
            " {h.Their} {m} [had tears of joy|was so surprised]. \"[This is the best present of all|I love it]!\" {m.they} said.",
            "{h.Their} {m} hugged {h.them} [for a long time|very tight], and {f} [clapped|laughed]. Then they all [ate cake|sang a song|danced] together.",
        ),
        "{h} learned that [the best gifts come from the heart|love is better than gold].",
        rows=lexicon.PRESENTS,
    ),
    Plot(
        "race",
        "heard about {x.what} {p.at}",
        (
            '{h} wanted to [win|get] {x.prize}. But {h.they} [could not {x.skill} very well|had never won before].'
            ' "[You are too small|You will never win]!" said ' + _MEET + ', who was [very good|the best]. {h} felt sad.',
            '"[Practice a little every day|Just do your best]," said {h.their} {m}. So every [morning|day], {h} went out to {x.skill}.'
            " [At first it was hard, but slowly it got easier|{h.They} fell down many times, but always got up again].",
            "[Then the big day came|At last the day came]. {h}'s heart was beating fast. {h.They} [gave all {h.they} had|did {h.their} very best].",
            '[{h} won {x.prize}! Everyone cheered. {f} came over. "I was wrong," {f.they} said. "You were great."'
            '|{f} won, but {h} came second. {f} came over and shook {h.their} hand. "You were great," {f.they} said. "I am sorry that I laughed at you."]',
            '"[Thank you|That is okay]," said {h}. "[Let us practice together|We can {x.skill} together tomorrow]." {f} [smiled|was happy to hear that].',
        ),
        "{h} learned that [practice makes you better|hard work is its own prize].",
        rows=lexicon.RACES,
    ),
    Plot(
        "picnic-rain",
        "[packed|took] {x.one} and went {p.to} for a picnic with {h.their} friend {f}",
        (
            "They put a blanket on the ground and [sat down|began to eat]. [The birds were singing|It was a lovely day].",
            "[But then|Suddenly], dark clouds came, and it began to rain. [The blanket got wet|Soon everything was wet]."
            ' "Our picnic is ruined!" [cried|said] {h}. {h.They} [was very sad|wanted to go home].',
            '{f} took {h.their} hand. "[Come, we can run to that old barn|I know a dry place]," {f.they} said. They ran [as fast as they could|through the rain].',
            "Inside it was [warm and dry|dark but dry]. They [ate {x.rest} and told stories|shared {x.rest} and sang songs]."
            " The rain [went pitter patter on the roof|drummed on the roof], and it was like music.",
            'When the rain stopped, a [big|bright] rainbow was in the sky. They jumped in [every puddle|all the puddles] and laughed.'
            ' "[This was the best picnic ever|I love the rain now]!" said {h}.',
        ),
        "{h} learned that [a good friend can make a bad day good|a rainy day can be fun too].",
        rows=lexicon.FOODS,
    ),
    Plot(
        "new-friend",
        "went {p.to} to play {x.game}",
        (
            "[There|Near the path], {h.they} saw a {f.kind} [sitting|standing] all alone. It was {f}, who was new [in town|there]."
            " {f} looked [sad|shy|lonely].",
            "[The others did not want to play with {f.them}|Nobody talked to {f.them}], because {f.they} was [different|new|so quiet]."
            " {h} [did not think that was fair|felt sorry for {f.them}].",
            'So {h} went over. "[Hello|Hi], my name is {h}," {h.they} said. "[Do you want to play {x.game} with me|Will you play {x.game} with me]?"',
            '{f} [looked up and smiled|could not believe it]. "[Yes, please|I would love to]!" {f.they} said. They played {x.game} [all afternoon|until it got dark].',
            "[{f} was very good at {x.game}|{f} knew many funny jokes], and [soon|before long] the others [came to play too|wanted to join them]."
            ' "[I am glad you came to me|You are my first friend here]," said {f}.',
        ),
        "{h} learned that [one kind word can make a friend|it is good to be kind to someone new].",
        rows=tuple({"game": game} for game in lexicon.GAMES),
    ),
    Plot(
        "garden",
        "found a [small|tiny] {x.seed} {p.at}",
        (
            '"What [is it|can I do with it]?" asked {h}. "Put it in the ground and give it water," said {h.their} {m}. "[Then wait and see|But you must be patient]."',
            "{h} [dug a hole|made a hole in the soft ground] and [put|dropped] the {x.seed} in it. {h.They} gave it water [every day|every morning].",
            '[A week went by, and nothing happened|Day after day, there was nothing to see]. "It will never grow," said ' + _MEET + "."
            ' [But {h} did not give up|"I will wait," said {h}].',
            "Then one [morning|day], {h} saw a [tiny|little] green leaf. [It grew and grew|It grew taller every day]. Soon it was a {x.plant}!",
            '"[Look, {f}! Look what I grew|Come and see]!" {h} [called|shouted]. {f} [was amazed|could not believe it]. [Then|To celebrate,] {h} {x.gift}.',
        ),
        "{h} learned that good things [take time|need time and care].",
        rows=lexicon.PLANTS,
    ),
    Plot(
        "night-sound",
        "was lying in bed [and could not sleep|under a warm blanket]",
        (
            '[Suddenly|Then] there was a [strange|funny] noise. "{x.noise}!" [it went|went the noise]. {h} [sat up|pulled the blanket over {h.their} head].'
            " {h.Their} heart was beating fast.",
            '"[Who is there|What is that]?" {h.they} [whispered|asked], but nobody [answered|said a word]. "{x.noise}!" it went again.',
            '{h} woke {h.their} friend {f}, who [was sleeping over|slept in the next bed]. "[Did you hear that|Do you hear it too]?" asked {h}.'
            ' "[Yes, but let us be brave|Yes. Let us go and see]," said {f}. They took a [small|little] light and [walked|went] [slowly|quietly] to the sound.',
            '[What did they find? It was only|And what was it? Just] {x.cause}! They [laughed and laughed|both began to laugh]. "[We were afraid of that|That was all]?" said {f}.',
            "{h} {x.end}. [Then they went back to bed|After that the house was quiet], and [soon|before long] they were fast asleep.",
        ),
        "{h} learned that [things in the dark are not so scary when you look at them|being brave is easier with a friend].",
        rows=lexicon.NIGHT_SOUNDS,
        day=EVENING,
        last=3,
    ),
    Plot(
        "wish",
        "found a {x.thing} {p.spot2}",
        (
            'It [began to glow|was warm in {h.their} hand]. "[You have one wish|I will give you one wish]," said a [soft|strange] voice.'
            " {h} could not believe {h.their} ears.",
            "{h} [did not think for long|thought about it]. {h.They} wished {x.wish}. [Poof|Whoosh]! The wish came true.",
            "At first it was [a lot of fun|wonderful]. But [soon|after a while] {h} {x.bad}. \"[I do not like this|This is not what I wanted],\" {h.they} said.",
            '{h} [went to|called for] {h.their} friend {f}. "[Wish for everything to be as it was before|Ask the {x.thing} to take it back]," said {f}.'
            " {h} closed {h.their} eyes and [said the words|asked very nicely]. [Poof|Whoosh]! Everything was [normal|as before] again.",
            "{h} [put the {x.thing} back where it was|threw the {x.thing} into the deep water]. [Then {h.they} played with {f}"
            "|{h.They} looked at {f} and smiled], and that was better than [any wish|magic].",
        ),
        "{h} learned to [be happy with what {h.they} had|think before making a wish].",
        rows=lexicon.WISHES,
        indoors=True,
    ),
)
