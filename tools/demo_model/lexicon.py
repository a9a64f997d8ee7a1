"""The words of the story grammar: who the stories are about, where they happen, what is in them.

Every table is ordered: the sampler prefers early rows (:func:`irsql.tools.demo_model.grammar.pick`), so the usual comes
first. A row is a mapping from a field name to text; templates reach it as ``{row.field}``.
"""

from __future__ import annotations

Row = dict[str, str]
Table = tuple[Row, ...]


def table(fields: str, *lines: str) -> Table:
    """Build a table: ``fields`` names the columns, each line holds the cells of a row between ``;``."""
    names = fields.split()
    rows = tuple(dict(zip(names, (cell.strip() for cell in line.split(";")), strict=True)) for line in lines)
    return rows


GIRLS = tuple(
    """Lily Mia Anna Sara Emma Lucy Ella Amy Zoe Ruby Rosa Nora Ivy Molly Maya Jane Clara Daisy Tina Kate Eva Nina
    Hana Leila Alice Ada Grace Sofia June Wendy""".split()
)
BOYS = tuple(
    """Tim Ben Tom Max Sam Leo Jack Finn Oscar Noah Omar Hugo Paul Theo Adam Luke Ravi Nick Peter Toby Eli Dan Felix
    Ali George Owen Ivan Henry Will Jim""".split()
)
ANIMAL_GIRLS = tuple("Bella Pip Luna Dot Hazel Honey Penny Poppy Coco Misty Willow Olive Pearl Star Tilly".split())
ANIMAL_BOYS = tuple(
    "Benny Rusty Milo Pepper Oliver Buddy Ollie Bruno Biscuit Dusty Ziggy Teddy Otto Moss Rocky".split()
)
# Now and then a name is made of these, so that the model learns to copy a name it has never met.
SYLLABLES = tuple("ba do fi ka la lo ma mi na ni pa ra ri sa ta ti to vi za ze".split())

ANIMALS = tuple(
    """rabbit bear fox mouse duck squirrel frog cat hedgehog turtle puppy bird deer kitten owl pig beaver otter lamb
    dragon""".split()
)
TRAITS = tuple("little kind brave curious happy shy clever playful gentle cheerful quiet young".split())

HOBBIES = (
    "play outside",
    "sing",
    "read stories",
    "run and jump",
    "help others",
    "climb trees",
    "look at the stars",
    "paint pictures",
    "dance in the rain",
    "explore new places",
    "make new friends",
    "tell funny jokes",
    "collect shiny stones",
    "chase butterflies",
)

HOMES_HUMAN = (
    "in a small house near the {p}",
    "in a little village by the sea",
    "in a big town with {h.their} family",
    "on a farm with many animals",
    "in a red house on a hill",
    "at the end of a quiet street",
)
HOMES_ANIMAL = (
    "in a cozy home near the {p}",
    "under a big oak tree",
    "in a warm nest of leaves",
    "in a green forest",
    "by a blue lake",
    "in a hole at the foot of a hill",
)

GROWNUPS_HUMAN = table("name they them their", "mom; she; her; her", "dad; he; him; his", "grandma; she; her; her",
                       "grandpa; he; him; his", "aunt; she; her; her", "uncle; he; him; his")
GROWNUPS_ANIMAL = table("name they them their", "mother; she; her; her", "father; he; him; his",
                        "grandmother; she; her; her", "grandfather; he; him; his")

_PLACE = "name to at spot1 spot2 spot3"
PLACES_HUMAN = table(
    _PLACE,
    "park; to the park; at the park; under the bench; behind the big tree; near the swings",
    "garden; to the garden; in the garden; under the roses; behind the shed; beside the gate",
    "beach; to the beach; at the beach; behind a rock; under a towel; next to the little boat",
    "farm; to the farm; at the farm; in the barn; behind the cart; under the hay",
    "playground; to the playground; at the playground; under the slide; in the sandbox; behind the fence",
    "market; to the market; at the market; under a table; behind a basket; next to the fruit stand",
    "school; to school; at school; under the desk; behind the door; on the top shelf",
    "library; to the library; in the library; under a chair; behind the books; next to the lamp",
)
PLACES_WITH_ROOF = ("market", "school", "library")
PLACES_ANIMAL = table(
    _PLACE,
    "forest; to the forest; in the forest; under the leaves; behind an old log; in a hollow tree",
    "meadow; to the meadow; in the meadow; in the tall grass; behind a stone; under the flowers",
    "pond; to the pond; by the pond; under a lily pad; behind the reeds; beside the muddy bank",
    "river; to the river; by the river; under the bridge; behind a rock; in the wet sand",
    "hill; to the hill; on the hill; behind a bush; under a flat stone; next to the path",
    "field; to the field; in the field; behind the fence; under the hay; in a small hole",
)

TOYS = table(
    "name look",
    "ball; red", "kite; yellow", "doll; pretty", "hat; blue", "drum; shiny", "boat; wooden", "bell; golden",
    "teddy bear; soft", "scarf; warm", "toy car; fast", "book; old", "ribbon; pink", "puzzle; new", "flute; silver",
    "bucket; green", "blanket; purple",
)
FOODS = table(
    "one many rest",
    "a big apple; apples; the apple", "a sweet cake; cakes; the cake", "a warm pie; pies; the pie",
    "a large cookie; cookies; the cookie", "a ripe pear; pears; the pear", "a fresh sandwich; sandwiches; the sandwich",
    "a yellow banana; bananas; the banana", "a jar of honey; honey cakes; the honey",
    "a bag of nuts; sweet nuts; the nuts", "a bowl of berries; berries; the berries",
    "an orange carrot; carrots; the carrot", "a soft muffin; muffins; the muffin",
)
HELPERS = table(
    "name they them their say", "owl; he; him; his; wise old", "squirrel; she; her; her; quick little",
    "deer; she; her; her; gentle", "crow; he; him; his; clever black", "turtle; he; him; his; slow old",
    "horse; she; her; her; big brown", "mole; he; him; his; friendly", "goose; she; her; her; proud white",
)
# An animal in trouble, what holds it, and how it gets free.
TROUBLES = table(
    "who they them how free",
    "bird; he; him; his wing was caught in a bush; gently moved the branches away",
    "kitten; she; her; she was stuck high up in a tree; climbed up slowly and carried the kitten down",
    "butterfly; she; her; she was trapped in a sticky web; carefully opened the web with a small stick",
    "fish; he; him; he lay in a tiny puddle far from the water; quickly carried the fish back to the water",
    "puppy; he; him; he had fallen into a deep hole; found a long rope and pulled the puppy out",
    "bee; she; her; she had fallen into the water; held out a green leaf and the bee crawled onto it",
    "lamb; she; her; her leg was stuck in the fence; lifted the wood until the lamb was free",
    "mouse; he; him; he was locked in an old box; pushed and pushed until the lid came off",
    "duckling; she; her; she could not find her mother; followed the sound of quacking until the mother duck came",
    "snail; he; him; he was lying upside down on the hot path; turned the snail over and put it in the shade",
)
# A fear, the moment it comes up, the advice, and what happens after trying.
FEARS = table(
    "of moment advice try after",
    "the dark; the lamp went out and the room was black; Look for the little lights in the dark;"
    " opened the window and looked up at the sky; The moon and the stars were shining, and the dark was beautiful",
    "deep water; all the others jumped into the lake; Hold my hand and put in one foot;"
    " took a deep breath and stepped into the water; The water was cool and fun, and soon everyone was splashing",
    "thunder; a storm came and the sky went boom; Count with me after every flash;"
    " counted one, two, three, four, five; The storm moved far away, and a rainbow came out",
    "high places; it was time to cross the tall bridge; Look at me and not at the ground;"
    " looked up and took one small step, and then one more; From the other side everything looked wonderful",
    "big dogs; a huge dog came running down the path; Stand still and let him smell your hand;"
    " stood very still and held out a hand; The dog licked the hand and wagged his tail",
    "singing in front of others; it was time to sing on the stage; Close your eyes and think of a happy day;"
    " closed both eyes and began to sing; Everyone clapped and asked for one more song",
    "monsters; a strange noise came from under the bed; Take this light and look for yourself;"
    " took the light and looked under the bed; It was only a sleepy cat with a ball of yarn",
)
# Something that can be built, why it fails, what makes it work.
BUILDS = table(
    "name fail fix use",
    "tower of blocks; fell down with a crash; put the biggest blocks at the bottom; stood taller than a chair",
    "sand castle; was washed away by a wave; built it farther from the water; stood safe in the sun",
    "little boat; filled with water and sank; closed every hole with wax; floated like a duck",
    "tree house; shook in the wind; tied the boards with strong rope; stayed as still as a stone",
    "kite; would not fly; gave it a longer tail; flew high above the trees",
    "wooden bridge; broke in the middle; used thick logs and not thin sticks; was strong enough for everyone",
    "birdhouse; fell from the branch; used longer nails; was soon home to two blue birds",
    "snowman; melted on one side; moved it into the shade; smiled all winter long",
    "wagon; lost a wheel; fixed the wheel with a new pin; rolled down the hill without a bump",
)
BREAKABLES = table(
    "name where",
    "blue vase; on the table", "favorite cup; on the shelf", "clay pot; by the window", "old lamp; in the corner",
    "glass bowl; in the kitchen", "picture frame; on the wall", "music box; next to the bed",
)
PLANTS = table(
    "seed plant gift",
    "seed; tall sunflower; gave everyone a flower", "bean; long green vine; cooked a big pot of beans",
    "pumpkin seed; round orange pumpkin; made a sweet pumpkin pie", "apple seed; small apple tree; shared the apples",
    "tomato seed; plant full of red tomatoes; made soup for the whole family",
    "tulip bulb; bright red tulip; put the flower in a glass by the bed",
)
PRESENTS = table(
    "name stuff how",
    "card; paper and bright paint; drew a big heart on the front", "necklace; string and little shells;"
    " put the shells on the string one by one", "crown; yellow flowers; tied the flowers into a ring",
    "picture; pencils and a clean sheet of paper; drew the whole family", "cake; flour, eggs and honey;"
    " mixed it all in a big bowl", "song; an old flute; practiced the tune again and again",
    "scarf; soft red wool; made knot after knot",
)
NIGHT_SOUNDS = table(
    "noise cause end",
    "Tap, tap, tap; a branch at the window; broke off the tip of the branch",
    "Scratch, scratch; a tiny mouse in the wall; gave the mouse a piece of cheese",
    "Boo, hoo, hoo; an owl on the roof; said good night to the owl",
    "Meow, meow; a cold kitten at the door; let the kitten in and gave it warm milk",
    "Drip, drip, drip; a leak in the roof; put a bucket under the leak",
    "Bump, bump; a loose door in the wind; closed the door and locked it",
)
WISHES = table(
    "thing wish bad",
    "magic stone; for a mountain of candy; ate too much and got a bad tummy ache",
    "golden lamp; for a hundred toys; could not find a free place to sit or sleep",
    "magic feather; for the power to fly; flew so high that it was cold and lonely",
    "silver coin; for a day without any rules; was tired, dirty and hungry by the evening",
    "glowing shell; to be as big as a house; could not fit through the door and felt alone",
    "old ring; to be invisible; called and called, but no friend could see where the voice came from",
)
GAMES = ("hide and seek", "tag", "catch", "ball", "follow the leader", "pirates", "marbles")
RACES = table(
    "what skill prize",
    "a running race; run; a golden cup",
    "a swimming race; swim; a blue ribbon",
    "a jumping contest; jump; a shiny medal",
    "a singing contest; sing; a silver bell",
    "a dancing contest; dance; a red rose",
    "a drawing contest; draw; a box of paints",
)
